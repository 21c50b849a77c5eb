r"""
Patterns of credentials, which run in linear time, each with a name.

The shapes are those that vendors document and that secret scanners agree on (gitleaks 8, GitHub's secret scanning). No
scanner is used as a library: detect-secrets and its like judge lines of source code, score entropy and report without
replacing, and gitleaks' own rules need its engine (RE2, entropy, stop words). In prose a credential without a vendor's
shape is found by the word before it (``password:``, ``API_KEY=``, ``--token``), and then judged by its form:
:func:`_is_password`, :func:`_is_key`.

A pattern tries every position once: a repetition is bounded, or possessive, or begins at a character whose predecessor
cannot belong to it.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of credential, and how it is found."""

    name: str
    hints: tuple[str, ...]
    """Lower case. A text that the pattern matches contains one of these; most texts contain none."""
    pattern: re.Pattern[str]
    """The group ``secret`` is replaced, or the whole match without such a group."""
    check: Callable[[re.Match[str]], bool] | None = None
    """Return whether a match is a credential; without it every match is one."""


def _kind(name: str, hints: str, pattern: str, check: Callable[[re.Match[str]], bool] | None = None) -> Kind:
    return Kind(name, tuple(hints.split()), re.compile(pattern), check)


LONG = re.compile(r"[A-Za-z0-9_+/=.~:%-]{20}")
"""Every credential with a vendor's format contains a match."""

_DIGIT = r"(?=[A-Za-z_-]{0,200}\d)"
_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"

IN_ADDRESSES: tuple[Kind, ...] = (
    _kind("url password", "://", r"(?<=://)[^\s/?#@:]*:(?P<secret>(?!\[redacted )[^\s/?#]+)@"),
    _kind("url password", "://", r"(?<=://)(?P<secret>(?=[A-Za-z_-]{0,64}\d)[\w-]{20,512})@"),  # a token as user name
    _kind(
        "url token",
        "=",
        r"(?i)[?&#;](?:(?:[\w.~-]{0,40}(?:token|secret|passwd|password|signature|credential|api[_-]?key)"
        r"|sig|hm|pwd|jwt|auth)=(?P<secret>[^\s&#<>\"'`|()\[\]{}]{6,})|(?:[\w.-]{0,20}key|code|session(?:_?id)?)"
        r"=(?P<long>(?=[A-Za-z_%-]{0,64}\d)[^\s&#<>\"'`|()\[\]{}]{20,}))",
    ),
)
"""``hm`` signs Discord's file addresses, ``sig`` Azure's, ``X-Amz-Signature`` and the like those of object stores."""

_SHAPED = (
    _kind(
        "aws key",
        "akia asia",
        rf"(?:AKIA|ASIA)[A-Z0-9]{{16}}[^A-Za-z0-9][\s\S]{{0,40}}?{_START}"
        r"(?P<secret>(?=[A-Za-z/+]{0,40}\d)[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _kind("aws key", "akia asia abia acca a3t", rf"{_START}(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{{16}}{_END}"),
    _kind(
        "aws key",
        "secret",
        r"(?i)secret.?access.?key[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[A-Za-z0-9/+=]{40})",
    ),
    _kind("aws key", "aws", r"(?i)aws.?secret.?key[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[A-Za-z0-9/+=]{40})"),
    _kind("aws key", "absk", r"(?<![\w/+])ABSK[A-Za-z0-9+/]{60,}={0,2}"),
    _kind(
        "aws session token",
        "woGzxivyxdz iqojb3jpz2lux2vj fqogzxivyxdz".lower(),
        r"(?:FwoGZXIvYXdz|FQoGZXIvYXdz|IQoJb3JpZ2luX2Vj)[A-Za-z0-9/+=]{40,}",
    ),
    _kind("github token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{30,}"),
    _kind("github token", "github_pat_", r"github_pat_[A-Za-z0-9_]{22,}"),
    _kind(
        "gitlab token",
        "gl gr1348941",
        rf"{_START}(?:gl(?:pat|ptt|rt|rtr|dt|cbt|soat|agent|ft|imt|oas|ffct|wt)-"
        r"[A-Za-z0-9_.=-]{20,}|GR1348941[\w-]{20,})",
    ),
    _kind("slack token", "xox", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9%+/=_-]{10,}"),
    _kind("slack token", "xapp- xwfp-", r"x(?:app|wfp)-[A-Za-z0-9-]{10,}"),
    _kind(
        "slack webhook",
        "hooks.slack",
        r"hooks\.slack(?:-gov)?\.com/(?P<secret>(?:services|workflows|triggers)/[\w/-]{10,})",
    ),
    _kind("discord webhook", "/webhooks/", r"/webhooks/\d{15,22}/(?P<secret>[\w-]{40,})"),
    _kind(
        "webhook",
        "webhook.office.com logic.azure.com",
        r"\.(?:webhook\.office|logic\.azure)\.com(?::443)?/(?P<secret>[\w@/.-]{30,})",
    ),
    _kind("webhook", "hooks.zapier.com", r"hooks\.zapier\.com/(?P<secret>hooks/catch/[\w/-]{10,})"),
    _kind("discord token", ".", r"(?<![\w.-])[MNO][\w-]{22,30}\.[\w-]{6}\.[\w-]{27,45}(?![\w-])"),
    _kind("discord token", "mfa.", r"(?<![\w.-])mfa\.[\w-]{80,}"),
    _kind("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.(?:eyJ)?[\w-]{8,}(?:\.[\w-]*){0,3}"),
    _kind("google key", "aiza", r"AIza[A-Za-z0-9_-]{35}"),
    _kind(
        "google key",
        "ya29. gocspx- goog1 1//0",
        r"(?:ya29\.|GOCSPX-)[A-Za-z0-9_-]{20,}|(?<![\w/])1//0[\w-]{30,}|(?<!\w)GOOG1[A-Z0-9]{20,}",
    ),
    _kind("google key", "aaaa", r"(?<![\w-])AAAA[\w-]{7}:[\w-]{100,}"),
    _kind("stripe key", "k_live_ k_test_ k_prod_", rf"{_START}[rs]k_(?:live|test|prod)_[A-Za-z0-9]{{10,}}"),
    _kind("stripe key", "whsec_", r"whsec_[A-Za-z0-9+/=]{24,}"),
    _kind("api key", "sk-", rf"(?<![\w-])sk-{_DIGIT}[A-Za-z0-9_-]{{20,}}"),  # OpenAI, Anthropic, OpenRouter, …
    _kind("api key", "sg.", r"(?<![\w.-])SG\.[\w-]{16,32}\.[\w-]{16,64}"),
    _kind(
        "twilio key", "sk ac", r"(?<!\w)SK[0-9a-fA-F]{32}(?!\w)|(?<!\w)AC[0-9a-f]{32}:(?P<secret>[0-9a-f]{32})(?!\w)"
    ),
    _kind("telegram token", ":a", r"(?<!\d)\d{8,12}:A[\w-]{34}(?![\w-])"),
    _kind(
        "azure key",
        "accountkey= sharedaccesskey=",
        r"(?i)(?:account|sharedaccess)key=(?P<secret>[A-Za-z0-9+/]{40,}={0,2})",
    ),
    _kind("azure key", "q~", r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~-])"),
    _kind(
        "azure key",
        "asta acdb azfu",
        r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{33,76}(?:\+ASt|AStA|ACDb|AzFu)[A-Za-z0-9+/]{5,10}={1,2}",
    ),
    _kind("azure key", "sig=", r"(?i)(?<![\w-])sig=(?P<secret>[A-Za-z0-9%+/=_-]{30,})"),
    _kind("api key", "-us", r"(?<!\w)[0-9a-f]{32}-us\d{1,2}(?!\w)"),  # Mailchimp
    _kind("api key", "-", r"(?<![\w-])(?:key-[0-9a-f]{32}|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8})(?![\w-])"),  # Mailgun
    _kind("api key", "asana 1/", r"(?<![\w/])[12]/\d{13,17}(?:/\d{13,17})?:[0-9a-f]{32}(?!\w)"),  # Asana
    _kind("vault token", "s. hv", r"(?<![\w.])(?:hv[sbr]\.[\w-]{24,}|s\.(?=[A-Za-z]{0,24}\d)[A-Za-z0-9]{24})(?![\w.])"),
    _kind("terraform token", ".atlasv1.", r"(?<!\w)[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{40,}"),
    _kind("okta token", "00", r"(?<![\w+/-])00(?=[\w-]{0,40}[a-z])(?=[\w-]{0,40}[A-Z])[\w-]{40}(?![\w+/=-])"),
    _kind("maxmind key", "_mmk", r"(?<!\w)[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),
    _kind(
        "onepassword key",
        "a3-",
        r"(?<![\w-])A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}",
    ),
    _kind("lob key", "live_ test_", r"(?<![A-Za-z0-9_])(?:live|test)_(?:pub_)?[0-9a-f]{31,35}(?!\w)"),
    _kind("facebook token", "| %7c", r"(?<!\d)\d{15,16}(?:\||%7C)[\w-]{27,40}(?![\w-])"),
    _kind("jwt", "zxlk", r"(?<![\w/+])ZXlK[\w+/=-]{60,}"),
    _kind("airtable token", "pat", r"(?<!\w)pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _kind("cloudflare key", "v1.0-", r"(?<!\w)v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}"),
    _kind("harness key", "pat. sat.", r"(?<!\w)[ps]at\.[\w-]{22}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}"),
    _kind("ssh key", "b3blbnnzac1rzxktdje", r"b3BlbnNzaC1rZXktdjE[A-Za-z0-9+/=]{20,}(?:\s{1,2}[A-Za-z0-9+/=]{20,})*"),
)
"""The order matters: the secret beside an AWS key id is replaced before the id."""

_PREFIXES = r"""
age-key          AGE-SECRET-KEY-1 50 [A-Z0-9]
adobe-key        p8e-             30 [A-Za-z0-9]
alibaba-key      LTAI             16 [A-Za-z0-9]
artifactory-key  AKCp             60 [A-Za-z0-9]
artifactory-key  cmVmdGtu         40 [A-Za-z0-9]
atlassian-token  ATATT3           40 [\w=-]
atlassian-token  ATCTT3           40 [\w=-]
atlassian-token  ATBB             24 [A-Za-z0-9]
atlassian-token  ATSTT            40 [\w=-]
buildkite-token  bkua_            30 [A-Za-z0-9]
circleci-token   CCIPAT_          30 [\w-]
circleci-token   CCIPRJ_          30 [\w-]
clickhouse-key   4b1d             38 [A-Za-z0-9]
clojars-token    CLOJARS_         40 [A-Za-z0-9]
cloudflare-key   cfut_            30 [\w-]
cloudflare-key   cfat_            30 [\w-]
contentful-token CFPAT-           40 [\w-]
databricks-token dapi             32 [a-f0-9-]
databricks-token dkea             32 [a-f0-9-]
digitalocean-key doo_v1_          40 [a-f0-9]
digitalocean-key dop_v1_          40 [a-f0-9]
digitalocean-key dor_v1_          40 [a-f0-9]
docker-token     dckr_pat_        20 [\w-]
docker-token     dckr_oat_        20 [\w-]
doppler-token    dp.pt.           40 [A-Za-z0-9]
doppler-token    dp.st.           40 [\w.]
doppler-token    dp.ct.           40 [A-Za-z0-9]
doppler-token    dp.sa.           40 [A-Za-z0-9]
dropbox-token    sl.              60 [\w-]
duffel-token     duffel_live_     40 [\w-]
duffel-token     duffel_test_     40 [\w-]
dynatrace-token  dt0c01.          60 [A-Z0-9.]
dynatrace-token  dt0s01.          60 [A-Z0-9.]
easypost-key     EZAK             54 [A-Za-z0-9]
easypost-key     EZTK             54 [A-Za-z0-9]
elevenlabs-key   sk_              40 [a-f0-9]
facebook-token   EAACEdEose0cBA   20 [A-Za-z0-9]
facebook-token   EAAM             80 [A-Za-z0-9]
facebook-token   EAAC             80 [A-Za-z0-9]
facebook-token   EAAG             80 [A-Za-z0-9]
figma-token      figd_            30 [\w-]
figma-token      figu_            30 [\w-]
figma-token      figo_            30 [\w-]
flutterwave-key  FLWSECK          20 [\w-]
fly-token        fo1_             40 [\w-]
fly-token        fm1r_            40 [\w+/=-]
fly-token        fm2_             40 [\w+/=-]
frameio-token    fio-u-           40 [\w-]
grafana-token    eyJrIjoi         40 [\w+/=-]
grafana-token    glc_             32 [\w+/=-]
grafana-token    glsa_            32 [A-Za-z0-9_]
groq-key         gsk_             40 [A-Za-z0-9]
heroku-key       HRKU-            30 [\w-]
hubspot-token    pat-na1-         32 [a-fA-F0-9-]
hubspot-token    pat-na2-         32 [a-fA-F0-9-]
hubspot-token    pat-eu1-         32 [a-fA-F0-9-]
huggingface-key  hf_              30 [A-Za-z0-9]
huggingface-key  api_org_         30 [A-Za-z0-9]
infracost-key    ico-             32 [A-Za-z0-9]
intra42-key      s-s4t2ud-        60 [a-f0-9]
intra42-key      s-s4t2af-        60 [a-f0-9]
langsmith-key    lsv2_pt_         32 [a-f0-9_]
langsmith-key    lsv2_sk_         32 [a-f0-9_]
linear-key       lin_api_         30 [A-Za-z0-9]
linear-key       lin_oauth_       30 [A-Za-z0-9]
linear-key       lin_wh_          30 [A-Za-z0-9]
mapbox-token     sk.eyJ           40 [\w.-]
newrelic-key     NRAK-            20 [A-Z0-9]
newrelic-key     NRII-            20 [\w-]
newrelic-key     NRRA-            20 [a-f0-9]
netlify-token    nfp_             30 [A-Za-z0-9]
notion-token     ntn_             30 [A-Za-z0-9]
notion-token     secret_          40 [A-Za-z0-9]
npm-token        npm_             30 [A-Za-z0-9]
nvidia-key       nvapi-           40 [\w-]
octopus-key      API-             26 [A-Z0-9]
onepassword-key  ops_eyJ          60 [\w+/=.-]
openshift-token  sha256~          40 [\w-]
paypal-token     access_token$    40 [a-z0-9$]
perplexity-key   pplx-            40 [A-Za-z0-9]
pinecone-key     pcsk_            40 [A-Za-z0-9_]
plaid-token      access-sandbox-  30 [a-f0-9-]
plaid-token      access-production- 30 [a-f0-9-]
plaid-token      access-development- 30 [a-f0-9-]
planetscale-key  pscale_tkn_      30 [\w.=-]
planetscale-key  pscale_pw_       30 [\w.=-]
planetscale-key  pscale_oauth_    30 [\w.=-]
posthog-key      phx_             30 [A-Za-z0-9]
postman-key      PMAK-            40 [a-f0-9-]
prefect-key      pnu_             36 [A-Za-z0-9]
pulumi-token     pul-             40 [a-f0-9]
pypi-token       pypi-            50 [\w-]
readme-key       rdme_            40 [a-z0-9]
render-key       rnd_             24 [A-Za-z0-9]
replicate-key    r8_              30 [A-Za-z0-9]
rubygems-key     rubygems_        40 [a-f0-9]
scalingo-token   tk-us-           40 [\w-]
sendinblue-key   xkeysib-         60 [a-f0-9A-Z-]
sendinblue-key   xsmtpsib-        60 [a-f0-9A-Z-]
sentry-token     sntrys_          40 [\w+/=]
sentry-token     sntryu_          40 [a-f0-9]
settlemint-token sm_pat_          16 [A-Za-z0-9]
settlemint-token sm_sat_          16 [A-Za-z0-9]
settlemint-token sm_aat_          16 [A-Za-z0-9]
shippo-key       shippo_live_     40 [a-f0-9]
shippo-key       shippo_test_     40 [a-f0-9]
shopify-token    shpat_           32 [a-fA-F0-9]
shopify-token    shpca_           32 [a-fA-F0-9]
shopify-token    shppa_           32 [a-fA-F0-9]
shopify-token    shpss_           32 [a-fA-F0-9]
shopify-token    shpua_           32 [a-fA-F0-9]
sourcegraph-key  sgp_             40 [a-z0-9_]
square-token     sq0atp-          20 [\w-]
square-token     sq0csp-          40 [\w-]
square-token     EAAA             56 [\w-]
supabase-key     sbp_             40 [a-f0-9]
supabase-key     sb_secret_       30 [\w-]
tailscale-key    tskey-           20 [A-Za-z0-9-]
tavily-key       tvly-            24 [\w-]
together-key     tgp_v1_          40 [\w-]
twitter-token    AAAAAAAAAAAAAAAAAAAAA 80 [\w%]
typeform-token   tfp_             40 [\w.=-]
vercel-token     vcp_             24 [A-Za-z0-9]
wandb-key        wandb_v1_        30 [\w-]
xai-key          xai-             60 [A-Za-z0-9]
yandex-key       AQVN             35 [\w-]
yandex-key       y0_              50 [\w-]
yandex-key       t1.9euelZ        60 [\w.=-]
"""
"""Credentials with a vendor's prefix: kind, prefix, least number of characters after it, and their class."""


def _prefixed() -> Iterator[Kind]:
    for line in _PREFIXES.split("\n")[1:-1]:
        name, prefix, least, characters = line.split()
        digit = "" if int(least) >= 30 else r"(?=[A-Za-z_-]{0,64}\d)"
        # not inside base64
        pattern = rf"(?<![A-Za-z0-9_])(?<![A-Za-z0-9+/]{{12}}[+/]){re.escape(prefix)}{digit}{characters}{{{least},}}"
        yield _kind(name.replace("-", " "), prefix.lower(), pattern)


_UNWRITTEN = re.compile(
    r"""(?ix)
    \[redacted | [<{] | %[({] | %s$ | \*{2} | \$[({] | \$[A-Z_][A-Z0-9_]*$ | \$[a-z_]+\d?$ | \$\d$   # filled in later
    | (?:x{3,}[\Wx]*$|\.{3}|(?:redacted|hidden|todo|null|none|nil|undefined|true|false)$|(?:your|my|example|placeholder)[_-])
    | [a-z_]\w*(?:(?:\.|::|->)[a-z_]\w*(?:\[\w*\])?)+$ | \w+\[ | \w*\(                           # code
    | https?:// | [~.]?/ | [\w.+-]+@[\w-]+\.[\w.]+$                                             # addresses
    | (?:base|sha-?|md|utf-?|rsa-?|aes-?|ed|oauth|http|pbkdf|argon|ipv|ec|s)\d{1,5}(?:[-_/][a-z]+)*$ # names of methods
    | v?\d+(?:\.\d+)+[\w-]*$ | [A-Z]{2,10}-\d{1,6}$ | \#\d+$                                        # versions, tickets
    | \d{4}-\d\d-\d\d | \d{1,2}:\d\d | \d+[- ]?(?:char|digit|letter|symbol|day|hour|min|sec|week|month|year|bit|byte)
    """
)
"""Beginnings of values in the place of a credential that are none."""

_TRAILING = ".!?:)]}>*_"


_NO_PASSWORDS = frozenset(
    [
        *(
            "password",
            "passwd",
            "passphrase",
            "secret",
            "string",
            "required",
            "optional",
            "hidden",
            "forgotten",
            "missing",
        ),
        *(
            "invalid",
            "incorrect",
            "changed",
            "unknown",
            "default",
            "getpass",
            "prompt",
            "config",
            "settings",
            "request",
        ),
        *("reset", "expired", "disabled", "enabled"),
    ]
)
"""Words in the place of a password, in code and forms."""

_COMMON_PASSWORDS = frozenset(
    [
        *("qwerty", "qwertyuiop", "qwertz", "asdfgh", "asdfghjkl", "letmein", "iloveyou", "trustnoone", "football"),
        *("baseball", "dragon", "monkey", "sunshine", "princess", "superman", "batman", "changeme", "passw0rd"),
    ]
)

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOT_A_KEYS = re.compile(
    r"(?i)\b(?:id|ids|commit|sha\d*|hash|digest|checksum|image|ticket|issue|revision|build|PR|see|in)\b"
)


def _is_password(match: re.Match[str]) -> bool:
    """Return whether the text after a word for a password is one, and not prose."""
    value, quoted = match["secret"], match["quote"] is not None
    if not quoted:
        value = value.rstrip(_TRAILING)
    mixed = value.lower() != value != value.upper() and any(map(str.isdigit, value))
    if len(value) < 6 - mixed or _UNWRITTEN.match(value) or "(" in value or value.lower() in _COMMON_PASSWORDS:
        return value.lower() in _COMMON_PASSWORDS
    if value.isascii() and value.isalpha():
        changes = len(re.findall(r"[a-z](?=[A-Z])", value))
        if value.islower() and (quoted or _is_set(match)):
            return value not in _NO_PASSWORDS
        return (quoted and changes >= 2) or (len(value) >= 20 and not changes)
    if value.isdigit():
        return not match.groupdict().get("suffix")
    if any(map(str.isdigit, value)):
        return any(map(str.isalpha, value)) or bool(re.search(r"[^\w\s.,:/()+-]", value))
    return bool(re.search(r"[A-Za-z][!@#$%^&*+=][A-Za-z]|^[!@#$%^&*+=][A-Za-z]|\w={1,2}$", value)) and "/" not in value


def _is_set(match: re.Match[str]) -> bool:
    """Return whether this is a setting, ``PASSWORD=word`` or ``Password=word;``, and not an argument in code."""
    text, start, end = match.string, *match.span("secret")
    return (
        text[start - 1 : start] == "="
        and text[start - 2 : start - 1].isalnum()
        and text[end : end + 1] in {"", "\n", ";", " "}
        and match["secret"].isalpha()
    )


def _is_key(match: re.Match[str]) -> bool:
    """Return whether the text after a word for a key or a token is one: it contains letters and digits."""
    value = match["secret"].rstrip(_TRAILING)
    least = 20 if match.groupdict().get("bare") else 8
    if len(value) < least or _UNWRITTEN.match(value) or "(" in value or "://" in value:
        return False
    if any(map(str.isdigit, value)):
        return any(map(str.isalpha, value))
    # in a file of settings letters suffice
    return len(value) >= 12 and bool(re.match(r"[A-Z_]{4,40}=[\"']?(?![\"'])", match[0]))


def _is_random(match: re.Match[str]) -> bool:
    """Return whether the text some words after a name for a key is one: it has no form of words, paths, names or numbers."""
    value = match["secret"].rstrip(_TRAILING)
    before = match[0][: match.start("secret") - match.start()]
    if len(value) < 20 or _UNWRITTEN.match(value) or re.search(r"[A-Za-z]{3}[-./][A-Za-z]{3}|//|^[0-9a-f]{8}-", value):
        return False
    if _NOT_A_KEYS.search(before) or (_SHA.fullmatch(value) and not re.search(r"(?:[:=]|\b(?:is|was))\W*$", before)):
        return False
    figures = sum(map(str.isdigit, value))
    return 3 <= figures < len(value) and (figures >= len(value) / 8 or value.lower() != value)


def _is_vendors(match: re.Match[str]) -> bool:
    """Return whether the text after a vendor's name and a word for a key is a credential."""
    value = match["secret"]
    before = match[0][: match.start("secret") - match.start()]
    figures = sum(map(str.isdigit, value))
    return not _NOT_A_KEYS.search(before) and not _UNWRITTEN.match(value) and 3 <= figures < len(value)


_BETWEEN = r"[\"'`\])*]{0,3}\s{0,3}(?::=|=>|->|→|[!=]?={1,2}|[:：＝]|[\"'],(?=\s{0,3}[\"']))(?:\*\*)?\s{0,3}"
"""Between a name and its value: in YAML, JSON, .env files, PHP, Ruby, Go, Markdown, ``define('A', 'b')`` …"""

_QUOTE = r"@?(?P<quote>[\"'`]|\*{1,2}|\|\|)?"
"""Characters before a value; the last two are the marks of bold and of a spoiler."""

_VALUE = rf"{_QUOTE}(?P<secret>(?(quote)[^\"'`\s|]|[^\s\"'`,;<>|]){{5,256}})"

_PASSWORDS = (
    r"(?:pass(?:word|wd|wort| ?phrase|code)|kennwort|contrase(?:ñ|n)a|mot de passe|senha|has[lł]o|wachtwoord|пароль|密码|"
    r"密碼|口令|パスワード|비밀번호|parola|l(?:ö|o)senord|adgangskode|passord|salasana|(?:ş|s)ifre"
    r"|(?<![a-z])(?:pass|pwd?|psw|mdp|psk))\d?"
)
_BARE = r"(?P<bare>(?<![a-z])(?:token|key))"
"""Words that also precede other values."""

_KEYS = (
    r"(?:(?:api|access|subscription|account|auth|client|secret|private|encryption|session|security|signing|shared|refresh|bearer|consumer|"
    r"application|storage|deploy|license|integration|(?<![a-z])(?:app|master|service|personal|bot|user|id))"
    r"[_ .-]?(?:key|token|secret|pat)|_(?:key|token|secret|pat)|secret|credentials?"
    r"|(?:recovery|backup|unseal)[_ .-](?:code|key|phrase)s?)(?: ?\d)?"
)

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_VENDORS = (
    "adafruit|airtable|algolia|alibaba|asana|auth0|aws|azure|binance|bitbucket|bittrex|cloudflare|codecov|cohere|coinbase|"
    "confluent|contentful|datadog|discord|dropbox|etsy|facebook|fastly|figma|flickr|freshbooks|gcp|github|gitlab|google|"
    "grafana|heroku|hubspot|intercom|jfrog|jira|kraken|kucoin|launchdarkly|linear|linkedin|looker|mailchimp|mailgun|mapbox|"
    "mattermost|messagebird|netlify|new ?relic|npm|notion|okta|openai|pagerduty|plaid|pypi|rapidapi|sendbird|sendgrid|"
    "sentry|shopify|slack|snyk|sonar|splunk|square|stripe|sumo ?logic|telegram|travis|twilio|twitch|twitter|typeform|"
    "vercel|yandex|zendesk|zoom"
)
"""Vendors whose keys have, or once had, no format that identifies them."""

_NAMED = (
    _kind(
        "private key",
        "private",  # a key without its end includes the rest of the text
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:.*?)(?:-----END [A-Z0-9 ]{0,60}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    _kind(
        "private key", "private-lines", r"Private-Lines: \d{1,3}\s(?P<secret>(?:[A-Za-z0-9+/=]{1,64}\s{0,2}){1,200})"
    ),
    _kind(
        "authorization",
        "authorization",
        r"(?i)authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token|apikey|ssws|key)[\s=]{1,3}"
        r"(?P<secret>[\w.~+/=-]{8,})",
    ),
    _kind(
        "authorization",
        "authorization",
        r"(?i)(?<![a-z])authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>(?=[a-z.~+/=_-]{0,200}\d)[\w.~+/=-]{16,})",
    ),
    _kind(
        "authorization",
        "bearer basic ssws",
        r"(?i)(?<![a-z])(?:bearer|basic|ssws)[\s:=]{1,3}(?P<secret>(?=[a-z.~+/=_-]{0,200}\d)[\w.~+/=-]{16,})",
    ),
    _kind(
        "session",
        "cookie",
        r"(?i)cookie[\"']?\s{0,3}[:=][^\n]{0,200}?(?:sess(?:ion)?(?:_?id)?|sid|auth|jwt|token)=(?P<secret>[^\s;\"',]{16,})",
    ),
    _kind("session", "_session=", r"_gitlab_session=(?P<secret>[\w-]{16,})"),
    _kind("password", "login", r"(?i)\blogin\s{1,3}\S{1,64}\s{1,3}password\s{1,3}(?P<secret>\S{4,128})"),  # .netrc
    _kind(
        "password",
        "mysql sshpass",
        r"\b(?:mysql\w{0,10}\b[^\n]{0,100}?\s-p|sshpass\s{1,3}-p\s{0,2})(?P<quote>[\"'])?"
        r"(?P<secret>[^\s\"'$<]{4,128})",
    ),
    _kind(
        "password",
        "curl wget",
        r"\b(?:curl|wget)\b[^\n]{0,200}?\s(?:-u|--user)[\s=]{0,2}[\"']?[^\s:\"']{1,64}:(?P<secret>[^\s\"'$<]{3,128})",
    ),
    _kind(
        "password",
        "docker",
        r"\bdocker login\b[^\n]{0,100}?\s(?:-p|--password)[\s=]{1,2}(?P<secret>[^\s\"'$<]{4,128})",
    ),
    _kind(
        "password",
        "--pass",
        rf"--pass(?:word|wd|phrase)?\s{{1,3}}{_VALUE}",
        _is_password,
    ),
    _kind(
        "secret",
        "--",
        rf"--[a-z-]{{0,20}}(?:token|key|secret)\s{{1,3}}{_VALUE}",
        _is_key,
    ),
    _kind(
        "password",
        "password> passwd> pwd> secret> token> apikey> api_key>",
        r"(?i)<(?:\w{1,20}:)?\w{0,20}(?:password|passwd|pwd|secret|token|api_?key)>(?P<secret>[^<\s]{4,256})</",
    ),
    _kind(
        "password",
        "cred login user log",
        r"(?i)\b(?:creds?|credentials|log[ -]?in(?: (?:with|as|using))?|user(?:name)?(?: ?(?:and|/|\+|&) ?pass(?:word)?)?)\b"
        r"[^\S\n]{0,3}[:=]?[^\S\n]{1,3}[\w.@+-]{2,64}[^\S\n]{0,2}[/:|][^\S\n]{0,2}(?P<quote>[\"'`])?(?P<secret>[^\s\"'`,;<>|]{6,64})",
        _is_password,
    ),
    _kind(
        "password",
        "pass pw psw psk kennw contrase mot mdp senha has wacht пароль 密 口令 パス 비밀 parola senord adgang salas ifre",
        rf"(?i){_PASSWORDS}(?P<suffix>[_-]\w{{1,20}})?{_BETWEEN}{_VALUE}",
        _is_password,
    ),
    _kind(
        "password",
        "pass pw kennw contrase senha",
        rf"(?i){_PASSWORDS}(?: (?:for|to|of|on|für|zu|de) [\w .'’-]{{1,40}}?)?"
        r"(?: (?:is|was|=|are|ist|lautet|es|est)(?: now| still)?:?| ?[–—-]) "  # as people type them
        rf"{_VALUE}",
        _is_password,
    ),
    _kind(
        "password",
        "pass pw",
        r"(?i)(?<![a-z])(?:password|passwd|pwd?) (?P<quote>(?!))?(?P<secret>(?=[^\s\d]{0,64}\d[^\s\d]{0,64}\d)[^\s\"'`,;<>|\d]"
        r"[^\s\"'`,;<>|]{5,64})",
        _is_password,
    ),
    _kind(
        "password",
        "@",
        r"(?<![\w/:.@-])[\w.-]{2,32}:(?P<quote>(?!))?(?P<secret>[^\s:@/\"'`,;<>|]{6,64})@(?=[\w-]{1,63}\.[\w-]|\w{1,12}\b(?!:))",
        _is_password,
    ),
    _kind(
        "secret",
        "key token secret api pat credential password",
        rf"(?i)(?<![a-z])(?:{_VENDORS})\b[\w .'’/-]{{0,30}}?\b(?:key|token|secret|api|pat|credentials?)\b"
        rf"(?: (?:is|was|for [\w -]{{1,20}}))?\W{{1,4}}(?P<secret>{_UUID}|(?=[a-z_-]{{0,64}}\d)[\w-]{{16,128}})(?![\w./@-])",
        _is_vendors,
    ),
    _kind(
        "secret",
        "secret key token credential _pat recovery backup unseal",
        rf"(?i)(?:{_KEYS}|{_BARE})(?:[_-]\w{{1,20}})?{_BETWEEN}{_VALUE}",
        _is_key,
    ),
    _kind(
        "secret",
        "secret key token credential pat",
        rf"(?i)(?:{_KEYS}|(?:access|api) pat)(?: [\w .'’/-]{{1,40}}?)?\s{{0,2}}[:=→>-]{{0,2}}\s{{1,2}}"
        rf"{_QUOTE}(?P<secret>[\w.~+/=-]{{20,256}})(?![\w@])",
        _is_random,
    ),
    _kind("password", "requirepass", r"requirepass\s{1,3}(?P<secret>[^\s\"']{6,256})"),  # Redis
    _kind("authorization", "auth", r"\bAUTH (?:PLAIN|LOGIN) (?P<secret>[A-Za-z0-9+/]{12,}={0,2})"),  # SMTP
    _kind(
        "seed phrase",
        "seed recovery mnemonic",
        r"(?i)(?:seed|recovery|mnemonic)(?: ?(?:phrase|words))?(?: is)?[:=\s]\s{0,3}"
        r"(?P<secret>(?:[a-z]{3,8}[ \n]){11}(?:(?:[a-z]{3,8}[ \n]){3}|(?:[a-z]{3,8}[ \n]){12})?[a-z]{3,8})(?![\w ,;.])",
    ),
    _kind("secret", "_auth", rf"_auth(?:Token)?\s{{0,3}}=\s{{0,3}}{_VALUE}", _is_key),
    _kind("secret", '"auth"', r'"auth"\s{0,3}:\s{0,3}"(?P<secret>[A-Za-z0-9+/]{16,}={0,2})"'),
)
"""A key in a header has the header's kind, whatever its format."""

BLOCKS = tuple(kind for kind in _NAMED if kind.name == "private key")

WHERE_LONG: tuple[Kind, ...] = (*_SHAPED, *_prefixed())
"""Used only for texts in which :data:`LONG` matches."""

ANYWHERE = tuple(kind for kind in _NAMED if kind.name != "private key")
"""Used last: a credential with a vendor's format gets that vendor's kind, whatever word is before it."""
