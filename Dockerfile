# The image of docker-compose.yaml: Airflow, the lock, and this project.
FROM apache/airflow:slim-3.3.2-python3.12

WORKDIR /opt/airflow
COPY --chown=airflow:0 requirements.txt ./
RUN pip install --no-cache-dir --no-deps --requirement requirements.txt

COPY --chown=airflow:0 pyproject.toml README.md ./
COPY --chown=airflow:0 include include
COPY --chown=airflow:0 plugins plugins
COPY --chown=airflow:0 dags dags
# Editable: it registers the provider's entry point, and there is one copy of the code.
RUN pip install --no-cache-dir --no-deps --editable . && mkdir -p state logs

ENV PYTHONPATH=/opt/airflow
