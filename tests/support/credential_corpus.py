"""
Messages with made-up credentials in realistic shapes, and messages without any: for tests and `make bench`.

The credentials are made when they are asked for, from a seed: none is in the repository.
"""

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator

HEX = "0123456789abcdef"
LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
ALNUM = string.ascii_letters + DIGITS
WORD = f"{ALNUM}_-"
B64 = f"{ALNUM}+/"


class Maker:
    """Makes strings of given shapes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def of(self, alphabet: str, length: int) -> str:
        """Some characters, with a digit, a small and a capital letter where the alphabet has them."""
        while True:
            value = "".join(self.random.choices(alphabet, k=length))
            wanted = [kind for kind in (DIGITS, LOWER, UPPER) if set(kind) & set(alphabet)]
            if length < 6 or (all(set(kind) & set(value) for kind in wanted) and value[0] in ALNUM + "/+"):
                return value

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def base64_of(self, text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    def jwt_part(self, **claims: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    def pem(self, kind: str, lines: int = 6, line_end: str = "\n") -> str:
        body = [self.of(B64, 64) for _ in range(lines)]
        return line_end.join([f"-----BEGIN {kind}-----", *body, f"-----END {kind}-----"])

    def password(self) -> str:
        word = self.random.choice(["Sommer", "dragon", "Winter", "monkey", "Falcon", "harbor"])
        return f"{word}{self.random.choice('!#$%&*')}{self.random.randrange(10, 9999)}"


type Made = tuple[str, str]
"""A message, and the part of it that must go."""


def credentials(seed: int = 1) -> Iterator[tuple[str, str, str]]:
    """Yield name, message and the part that must go."""
    make = Maker(seed)
    for name, text, secret in _whole(make):
        yield name, text.replace("@@", secret), secret
    for name, made in _in_words(make):
        yield name, *made


def _whole(make: Maker) -> Iterator[tuple[str, str, str]]:
    """Credentials with a shape of their own: name, sentence with @@ in its place, credential."""
    of = make.of
    jwt = f"{make.jwt_part(alg='HS256', typ='JWT')}.{make.jwt_part(sub='1234', iat=1700000000)}.{of(WORD, 43)}"
    rows: list[tuple[str, str, str]] = [
        ("aws access key", "use @@ for the bucket", "AKIA" + of(UPPER + "234567", 16)),
        ("aws temporary key", "AWS_ACCESS_KEY_ID=@@", "ASIA" + of(UPPER + "234567", 16)),
        ("aws secret", "aws_secret_access_key = @@", of(B64, 40)),
        ("aws secret in JSON", '{"SecretAccessKey": "@@", "Expiration": "2026-01-01"}', of(B64, 40)),
        ("aws session token", "export AWS_SESSION_TOKEN=@@", "IQoJb3JpZ2luX2Vj" + of(B64, 300)),
        ("google api key", "maps key is @@ btw", "AIza" + of(WORD, 35)),
        ("google oauth secret", "client secret @@", "GOCSPX-" + of(WORD, 28)),
        ("google access token", "@@ expires in an hour", "ya29." + of(WORD, 120)),
        ("google refresh token", "refresh: @@", "1//0" + of(WORD, 60)),
        ("azure storage", "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=@@;", of(B64, 86) + "=="),
        ("azure service bus", "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKey=@@", of(B64, 43) + "="),
        ("azure client secret", "the app's secret: @@", of(ALNUM, 3) + "8Q~" + of(WORD, 34)),
        ("azure SAS", "https://acme.blob.core.windows.net/a/b?sv=2022-11-02&sp=r&sig=@@", of(ALNUM, 43) + "%3D"),
        ("github classic", "clone it with @@", "ghp_" + of(ALNUM, 36)),
        ("github oauth", "@@", "gho_" + of(ALNUM, 36)),
        ("github app", "token @@ is for the app", "ghs_" + of(ALNUM, 36)),
        ("github user", "(@@)", "ghu_" + of(ALNUM, 36)),
        ("github refresh", "`@@`", "ghr_" + of(ALNUM, 76)),
        ("github fine-grained", "GH_TOKEN: @@", "github_pat_" + of(ALNUM, 22) + "_" + of(ALNUM, 59)),
        ("gitlab personal", "PRIVATE-TOKEN: @@", "glpat-" + of(WORD, 20)),
        ("gitlab routable", "@@ for CI", f"glpat-{of(WORD, 27)}.01.{of(HEX, 9)}"),
        ("gitlab deploy", "docker login with @@", "gldt-" + of(WORD, 20)),
        ("gitlab runner", "register --token @@", "glrt-" + of(WORD, 20)),
        ("gitlab trigger", "curl -F token=@@", "glptt-" + of(HEX, 40)),
        ("slack bot", "SLACK_BOT_TOKEN=@@", f"xoxb-{of(DIGITS, 12)}-{of(DIGITS, 13)}-{of(ALNUM, 24)}"),
        ("slack user", "try @@", f"xoxp-{of(DIGITS, 12)}-{of(DIGITS, 12)}-{of(DIGITS, 12)}-{of(HEX, 32)}"),
        ("slack app", "socket mode: @@", f"xapp-1-A{of(UPPER + DIGITS, 10)}-{of(DIGITS, 13)}-{of(HEX, 64)}"),
        ("slack config", "@@", f"xoxe.xoxp-1-{of(ALNUM, 146)}"),
        ("slack refresh", "and @@", f"xoxe-1-{of(ALNUM, 146)}"),
        ("slack cookie", "d=@@", f"xoxd-{of(ALNUM, 40)}%2B{of(ALNUM, 60)}%3D"),
        ("slack client", "xoxc one: @@", f"xoxc-{of(DIGITS, 12)}-{of(DIGITS, 12)}-{of(HEX, 64)}"),
        (
            "slack webhook",
            "post to https://hooks.slack.com/@@",
            f"services/T{of(UPPER, 8)}/B{of(UPPER, 9)}/{of(ALNUM, 24)}",
        ),
        (
            "slack workflow",
            "https://hooks.slack.com/@@",
            f"workflows/T{of(UPPER, 8)}/A{of(UPPER, 9)}/{of(DIGITS, 17)}/{of(ALNUM, 24)}",
        ),
        ("discord bot", "client.run('@@')", f"MTE{of(ALNUM, 23)}.G{of(WORD, 5)}.{of(WORD, 38)}"),
        ("discord mfa", "token @@", f"mfa.{of(WORD, 84)}"),
        ("discord webhook", "https://discord.com/api/webhooks/1480456117275340911/@@", of(WORD, 68)),
        ("openai", "openai.api_key = '@@'", f"sk-{of(ALNUM, 20)}T3BlbkFJ{of(ALNUM, 20)}"),
        ("openai project", "here you go @@", "sk-proj-" + of(WORD, 120)),
        ("anthropic", "ANTHROPIC_API_KEY=@@", f"sk-ant-api03-{of(WORD, 93)}AA"),
        ("hugging face", "login with @@", "hf_" + of(ALNUM, 34)),
        ("groq", "@@ has free quota", "gsk_" + of(ALNUM, 52)),
        ("replicate", "REPLICATE_API_TOKEN=@@", "r8_" + of(ALNUM, 37)),
        ("stripe live", "don't commit @@!", "sk_live_" + of(ALNUM, 24)),
        ("stripe restricted", "@@", "rk_live_" + of(ALNUM, 99)),
        ("stripe test", "test key @@", "sk_test_" + of(ALNUM, 24)),
        ("stripe webhook", "endpoint secret @@", "whsec_" + of(ALNUM, 32)),
        ("twilio key", "sid @@", "SK" + of(HEX, 32)),
        ("twilio auth token", "TWILIO_AUTH_TOKEN=@@", of(HEX, 32)),
        ("sendgrid", "mail key: @@", f"SG.{of(WORD, 22)}.{of(WORD, 43)}"),
        ("mailgun", "mailgun: @@", "key-" + of(HEX, 32)),
        ("mailgun new", "MG @@", f"{of(HEX, 32)}-{of(HEX, 8)}-{of(HEX, 8)}"),
        ("mailchimp", "newsletter key @@", f"{of(HEX, 32)}-us14"),
        ("npm", "//npm.example.com/:_authToken=@@", "npm_" + of(ALNUM, 36)),
        ("npm legacy", "//npm.example.com/:_authToken=@@", make.uuid()),
        ("pypi", "twine: @@", "pypi-AgEIcHlwaS5vcmc" + of(WORD, 150)),
        ("rubygems", "gem push, key @@", "rubygems_" + of(HEX, 48)),
        ("jwt", "Cookie was @@", jwt),
        ("rsa key", "@@", make.pem("RSA PRIVATE KEY")),
        ("openssh key", "my key:\n@@", make.pem("OPENSSH PRIVATE KEY")),
        ("key in one line", "SSH_KEY=@@", make.pem("OPENSSH PRIVATE KEY", 3, " ")),
        ("key in JSON", '"private_key": "@@\\n"', make.pem("PRIVATE KEY", 4, "\\n")),
        ("encrypted key", "@@", make.pem("ENCRYPTED PRIVATE KEY")),
        ("pgp key", "@@", make.pem("PGP PRIVATE KEY BLOCK")),
        ("ssh key without its frame", "paste this: @@", "b3BlbnNzaC1rZXktdjE" + of(B64, 200)),
        ("age key", "@@", "AGE-SECRET-KEY-1" + of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)),
        ("telegram", "bot: @@", f"{of(DIGITS, 10)}:AA{of(WORD, 33)}"),
        ("shopify", "admin token @@", "shpat_" + of(HEX, 32)),
        ("shopify secret", "shared @@", "shpss_" + of(HEX, 32)),
        ("digitalocean", "doctl auth init -t @@", "dop_v1_" + of(HEX, 64)),
        ("heroku", "@@", f"HRKU-{make.uuid()}"),
        ("heroku old", "HEROKU_API_KEY=@@", make.uuid()),
        ("datadog api", "DD_API_KEY=@@", of(HEX, 32)),
        ("datadog app", "datadog app key: @@", of(HEX, 40)),
        ("atlassian", "jira token @@", f"ATATT3xFfGF0{of(WORD, 170)}={of(UPPER + DIGITS, 8)}"),
        ("bitbucket", "app password @@", "ATBB" + of(ALNUM, 32)),
        ("linear", "@@", "lin_api_" + of(ALNUM, 40)),
        ("notion", "NOTION_KEY=@@", "ntn_" + of(ALNUM, 46)),
        ("notion old", "integration @@", "secret_" + of(ALNUM, 43)),
        ("figma", "figma @@", "figd_" + of(WORD, 40)),
        ("vault", "VAULT_TOKEN=@@", "hvs." + of(WORD, 95)),
        ("vault old", "vault login @@", "s." + of(ALNUM, 24)),
        ("terraform", "TFE: @@", f"{of(ALNUM, 14)}.atlasv1.{of(WORD, 67)}"),
        ("docker", "docker login -u acme -p @@", "dckr_pat_" + of(WORD, 27)),
        ("grafana", "@@", f"glsa_{of(ALNUM, 32)}_{of(HEX, 8)}"),
        ("grafana cloud", "@@", "glc_" + of(B64, 100)),
        ("databricks", "dbx configure: @@", "dapi" + of(HEX, 32)),
        ("square", "square @@", "sq0atp-" + of(WORD, 22)),
        ("square access", "@@", "EAAA" + of(WORD, 60)),
        ("cloudflare", "CLOUDFLARE_API_TOKEN=@@", of(WORD, 40)),
        ("cloudflare origin", "@@", f"v1.0-{of(HEX, 24)}-{of(HEX, 146)}"),
        ("okta", "SSWS @@", "00" + of(ALNUM, 40)),
        ("okta alone", "okta: @@", "00" + of(WORD, 39) + "a"),
        ("new relic", "@@", "NRAK-" + of(UPPER + DIGITS, 27)),
        ("postman", "@@", f"PMAK-{of(HEX, 24)}-{of(HEX, 34)}"),
        ("pulumi", "@@", "pul-" + of(HEX, 40)),
        ("planetscale", "@@", "pscale_tkn_" + of(WORD, 43)),
        ("sentry", "@@", "sntryu_" + of(HEX, 64)),
        ("supabase", "@@", "sbp_" + of(HEX, 40)),
        ("airtable", "@@", f"pat{of(ALNUM, 14)}.{of(HEX, 64)}"),
        ("dynatrace", "@@", f"dt0c01.{of(UPPER + DIGITS, 24)}.{of(UPPER + DIGITS, 64)}"),
        ("brevo", "@@", f"xkeysib-{of(HEX, 64)}-{of(ALNUM, 16)}"),
        ("asana", "asana pat @@", f"1/{of(DIGITS, 16)}:{of(HEX, 32)}"),
        (
            "teams webhook",
            "https://acme.webhook.office.com/@@",
            f"webhookb2/{make.uuid()}@{make.uuid()}/IncomingWebhook/{of(HEX, 32)}/{make.uuid()}",
        ),
    ]
    yield from rows


def _in_words(make: Maker) -> Iterator[tuple[str, Made]]:
    """Credentials that only the words around them tell."""
    of = make.of
    sentences: list[tuple[str, str, Callable[[], str]]] = [
        ("password", "password: @@", make.password),
        ("password in capitals", "DB_PASSWORD=@@", make.password),
        ("pw", "login is ruth, pw=@@", make.password),
        ("pwd", "pwd: @@ (change it please)", make.password),
        ("pass", "user: root pass: @@", make.password),
        ("is", "the password is @@", make.password),
        ("for", "password for the staging box is @@", make.password),
        ("figures only", "password: @@", lambda: of(DIGITS, 8)),
        ("german", "Das Passwort: @@", make.password),
        ("spanish", "la contraseña: @@", make.password),
        ("french", "mot de passe : @@", make.password),
        ("portuguese", "senha: @@", make.password),
        ("russian", "пароль: @@", make.password),
        ("chinese", "密码：@@", make.password),
        ("japanese", "パスワード: @@", make.password),
        ("quoted", 'password = "@@"', make.password),
        ("json", '{"user": "app", "password": "@@"}', make.password),
        ("yaml", "postgres:\n  user: app\n  password: @@\n", make.password),
        ("php", "define('DB_PASSWORD', '@@');", make.password),
        ("ruby", ":password => '@@'", make.password),
        ("go", 'Password: "@@",', make.password),
        ("connection string", "Server=db;User Id=sa;Password=@@;", make.password),
        ("xml", "<password>@@</password>", make.password),
        ("properties", "spring.datasource.password=@@", make.password),
        ("login and password", "creds: admin / @@", make.password),
        ("netrc", "machine api.acme.example login ruth password @@", make.password),
        ("mysql", "mysql -h db -u root -p@@ app", lambda: of(ALNUM, 12)),
        ("sshpass", "sshpass -p @@ ssh ruth@host", lambda: of(ALNUM, 12)),
        ("curl", "curl -u ruth:@@ https://api.acme.example", lambda: of(ALNUM, 12)),
        ("option", "psql --password @@", make.password),
        ("postgres url", "postgres://app:@@@db.acme.example:5432/app", lambda: of(ALNUM, 14)),
        ("mongo url", "mongodb+srv://app:@@@cluster0.acme.mongodb.net", lambda: of(ALNUM, 14)),
        ("redis url", "REDIS_URL=redis://:@@@cache:6379/0", lambda: of(ALNUM, 24)),
        ("amqp url", "amqp://svc:@@@mq/vhost", lambda: of(ALNUM, 14)),
        ("https url", "git clone https://ruth:@@@git.acme.example/app.git", lambda: of(ALNUM, 20)),
        ("token as user", "https://@@@git.acme.example/app.git", lambda: of(HEX, 40)),
        ("query", "https://api.acme.example/v1?api_key=@@&page=2", lambda: of(ALNUM, 32)),
        ("query token", "https://acme.example/reset?token=@@", lambda: of(WORD, 32)),
        ("basic", "Authorization: Basic @@", lambda: make.base64_of(f"ruth:{of(ALNUM, 12)}")),
        ("bearer", "curl -H 'Authorization: Bearer @@'", lambda: of(ALNUM, 40)),
        ("bearer alone", "send it as Bearer @@", lambda: of(WORD, 40)),
        ("api key", "api key: @@", lambda: of(ALNUM, 32)),
        ("apikey header", "x-api-key: @@", lambda: of(ALNUM, 40)),
        ("client secret", "client_secret=@@", lambda: of(WORD, 32)),
        ("env secret", "export SESSION_SECRET=@@", lambda: of(HEX, 64)),
        ("env token", "CIRCLE_TOKEN=@@", lambda: of(HEX, 40)),
        ("js", 'const apiKey = "@@";', lambda: of(ALNUM, 32)),
        ("python", "SECRET_KEY = '@@'", lambda: of(ALNUM, 50)),
        ("access token", "access token: @@", lambda: of(WORD, 64)),
        ("private token", "Private-Token: @@", lambda: of(ALNUM, 20)),
        (
            "docker config",
            '"auths": {"registry.acme.example": {"auth": "@@"}}',
            lambda: make.base64_of(f"ruth:{of(ALNUM, 14)}"),
        ),
        ("cookie", "Cookie: theme=dark; sessionid=@@", lambda: of(ALNUM, 32)),
        ("german sentence", "Passwort lautet @@", make.password),
        ("markdown", "**Password:** @@", make.password),
        ("arrow", "pass → @@", make.password),
        ("before a host", "admin:@@@10.0.0.5", lambda: of(ALNUM, 10)),
        ("kubernetes", "data:\n  password: @@", lambda: make.base64_of(of(ALNUM, 14))),
        ("redis", "requirepass @@", lambda: of(ALNUM, 16)),
        ("smtp", "AUTH PLAIN @@", lambda: make.base64_of(f"\0ruth\0{of(ALNUM, 12)}")),
        ("otp", "otpauth://totp/Acme:ruth?secret=@@&issuer=Acme", lambda: of(UPPER + "234567", 16)),
        ("words in .env", "JWT_SECRET=@@", lambda: "a-very-long-secret-of-words"),
        ("word in .env", "POSTGRES_PASSWORD=@@", lambda: "postgres"),
        ("unseal key", "Unseal Key 1: @@", lambda: of(B64, 43) + "="),
        ("vendor", "our Algolia admin key is @@", lambda: of(HEX, 32)),
        ("vendor and uuid", "heroku key @@", make.uuid),
        ("subscription key", "Ocp-Apim-Subscription-Key: @@", lambda: of(HEX, 32)),
        ("some words later", "the api key for prod: @@", lambda: of(ALNUM, 32)),
        ("seed phrase", "seed phrase: @@", lambda: " ".join(of(LOWER, 6) for _ in range(12))),
    ]
    for name, sentence, secret_of in sentences:
        secret = secret_of()
        yield name, (sentence.replace("@@@", f"{secret}@").replace("@@", secret), secret)


def innocents(seed: int = 1) -> Iterator[str]:
    """Yield messages in which nothing may be taken out."""
    make = Maker(seed)
    of = make.of
    yield from [
        f"fixed in {of(HEX, 40)}",
        f"commit {of(HEX, 7)} broke it, {of(HEX, 12)} repairs it",
        f"sha256:{of(HEX, 64)}",
        f"md5sum: {of(HEX, 32)}  backup.tar.gz",
        f"the image is acme/app@sha256:{of(HEX, 64)}",
        f'"integrity": "sha512-{of(B64, 86)}=="',
        f"order {make.uuid()} was shipped",
        f"trace id: {make.uuid()}",
        f"request_id={make.uuid()} status=500",
        f"idempotency key: {make.uuid()[:8]}",
        "colour: #ff8800, background #1a2b3c",
        f"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA{of(B64, 400)}==",
        "call me: +49 170 1234567 or 555-0100-2345",
        "card 4111 1111 1111 1111 is the test card",
        "4242424242424242 works in test mode",
        "channel 1480456117275340911, user 1477606574653468931",
        "ts 1700000000.123456, thread C02ABCDEF12",
        "the token is expired",
        "the token expired, log in again",
        "here is the password reset link: https://acme.example/reset",
        "password: see the vault",
        "password: ask Ruth",
        "Password: required",
        "password: (same as last time)",
        "password: ********",
        "password: <your password>",
        "password=${DB_PASSWORD}",
        "password: {{ vault_password }}",
        "password = os.environ['DB_PASSWORD']",
        "password: process.env.DB_PASSWORD,",
        "password = getpass.getpass()",
        "token = get_token(user_id=42)",
        "secret: none",
        "the password is wrong",
        "the password is 12 characters long",
        "the password is base64-encoded",
        "my password is not working since 2024",
        "passwords are hashed with sha256",
        "passphrase: optional",
        "pass: 12/15 tests",
        "pass: 2 fail: 0",
        "secret santa: Ruth and Priya",
        "the secret is out: we ship in Q3 2026",
        "key: value",
        "primary key: id",
        "keyboard shortcut: ctrl+shift+p",
        "public key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + of(B64, 43) + " ruth@laptop",
        "api key rotation is on Friday 2026-03-01",
        "api_key: str = Field(...)",
        "where do I put the API key?",
        "Basic authentication is off, bearer tokens only",
        "basic understanding of kubernetes 1.31 needed",
        "version 3.14.159-rc1+build.20260301",
        "pip install apache-airflow==3.3.2 everos-cloud>=1.2",
        "https://github.com/acme/app/commit/" + of(HEX, 40),
        "https://acme.example/docs/a-very-long-page-name-with-many-words-2026#section-12",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42",
        "https://acme.slack.com/archives/C02ABCDEF12/p1700000000123456",
        "git@github.com:acme/app.git",
        "mail ruth@acme.example or ops+alerts@acme.example",
        "-----BEGIN CERTIFICATE-----\n" + of(B64, 64) + "\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\n" + of(B64, 64) + "\n-----END PUBLIC KEY-----",
        "0x" + of(HEX, 40) + " is the contract's address",
        "arn:aws:iam::123456789012:role/deploy-production",
        "pk_live_" + of(ALNUM, 24) + " is the publishable one",
        "2026-03-01T10:00:00.000Z INFO worker-7f9c8d6b5-x2k4q started",
        "session notes: https://docs.acme.example/d/2026",
        "login: same as before / no change",
        "user: ruth, role: admin2",
        "username/password authentication will be removed in 2027",
        "ask-me-anything-about-the-sk-learn-pipeline-in-version-2",
        "ISBN 978-3-16-148410-0, IBAN DE89 3704 0044 0532 0130 00",
        "token: string; // from the login form",
        "tokens used: 1234567",
        "max_tokens=4096, temperature=0.7",
        "the auth token: see 1Password",
        "api key id: " + make.uuid(),
        "access token bug fixed in " + of(HEX, 40),
        "secret scanning flagged " + of(HEX, 40),
        "the client secret rotation is tracked in ACME-1234",
        "session key 12 of 40",
        "the api key for production-eu-west-1-cluster-2 is in the vault",
        "cache key: user-1234567",
        "password: min 12 characters, 1 digit",
        "passwords: 3 wrong attempts",
        "password policy: 90 days",
        "token: 1234567",
        "tokens: 128000",
        "pass: 12345",
        "pw: 24h",
        "pwd: /home/ruth",
        "pwd=/srv/app",
        "pass rate = 98.5%",
        "bypass: v2.3.1",
        "key: F12",
        "api key: 401 error",
        "login: 2026-03-01 10:00",
        "credentials: see ACME-123",
        "credential: none",
        "secret: ask@acme.example",
        "Password: ✔",
        "password = None",
        "password=self.password,",
        "password=password)",
        "login(user=user, password=passwd)",
        "if (!password) return",
        "passport: C01X00T47",
        "encoded: " + of(B64, 80),
        "nonce: " + of(HEX, 32),
        'etag: "' + of(HEX, 32) + '"',
        "uuid " + make.uuid(),
        "license: MIT 2026",
        "user: u1234567 / channel C0123456",
        "login as admin / then open settings",
        "account key figures 2026: 12345678",
        "secret1 vs secret2",
        "token refresh every 3600s",
        "auth token lifetime: 3600s",
        "id token expiry 2026-03-01T10:00:00Z",
        "private key in /etc/ssl/private/acme2026.key",
        "the access key on row 12",
        "seed: 42",
        "recovery phrase is on paper",
        "api token scope: read:user2",
        "api_version=2024-02-15-preview",
        "access_token_expires_in: 3600",
        "client_secret_expires_at: 1700000000",
        "password_reset_at: 2026-03-01",
        "password_changed=1700000000",
        "deploy key added by ruth on 2026-03-01",
        "key=PROJ-123&a=b",
        "ssh key fingerprint SHA256:" + of(B64, 43),
        "secret level 5",
        "security token service v2 is up",
        "signing key rotated (kid=2026-03)",
        "Session ID: ask",
        "api key: <insert>",
        "-----BEGIN CERTIFICATE REQUEST-----",
        "Basic plan: 20 users",
        "Bearer of bad news 2026",
        "user/pass: same2",
    ]
