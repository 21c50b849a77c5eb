# The images of docker-compose.yaml. Base images are pinned by version; for identical builds, add the digest
# that `docker buildx imagetools inspect IMAGE` prints: FROM image:version@sha256:…

# A self-hosted EverOS, in the same environment as with `make demo`.
FROM python:3.12.11-slim-bookworm AS everos

WORKDIR /opt/everos
ENV PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
COPY requirements-dev.txt requirements-selfhosted.txt ./
COPY scripts/environment scripts/
RUN scripts/environment selfhosted

RUN useradd --system --create-home everos && install --directory --owner everos /data
USER everos
WORKDIR /data
ENV PATH=/opt/everos/.venv-selfhosted/bin:$PATH \
    TIKTOKEN_CACHE_DIR=/opt/everos/.venv-selfhosted/tiktoken \
    EVEROS_ROOT=/data \
    EVEROS_MEMORIZE__MODE=chat \
    EVEROS_SQLITE__BUSY_TIMEOUT_MS=60000 \
    EVEROS_API__HOST=0.0.0.0
# The server needs these two files; empty ones keep all defaults.
CMD ["sh", "-c", "touch everos.toml ome.toml && exec everos server start"]


# Airflow and this project, with the packages of the lock.
FROM apache/airflow:slim-3.3.2-python3.12 AS airflow

WORKDIR /opt/airflow
COPY --chown=airflow:0 requirements-distributed.txt ./
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements-distributed.txt

COPY --chown=airflow:0 pyproject.toml README.md LICENSE ./
COPY --chown=airflow:0 scripts/wheel.py scripts/
COPY --chown=airflow:0 include include
COPY --chown=airflow:0 plugins plugins
COPY --chown=airflow:0 dags dags
# Editable: this registers the provider's entry point without a second copy of the code.
RUN pip install --no-cache-dir --no-deps --editable . && mkdir -p state logs

ENV PYTHONPATH=/opt/airflow
