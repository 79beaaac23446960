# One image for every part of docker-compose.yaml (docs/adr/0070). The first stage builds a virtual environment from the
# locked requirements and this checkout's wheel; the second holds that environment and nothing to build with.
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
# Requirements first: they change less often than the code.
COPY requirements.txt requirements-deploy.txt ./
RUN pip install --no-compile -r requirements-deploy.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY dags/ dags/
COPY include/ include/
COPY plugins/ plugins/
# Without its dependencies, which are locked above, and with the build backend of the lock. Without bytecode every
# command of Airflow takes twice as long to start.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && pip install --no-compile --no-deps /dist/*.whl \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM python:${PYTHON}
COPY --from=build /opt/venv /opt/venv
# /entrypoint and /clean-logs, which Airflow's Helm chart calls by name.
COPY scripts/image/ /
# The base image comes without bytecode of Python's own library, and the user below may not write any.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/local/lib/python3.11
# Volumes take over owner and mode of what they are mounted on.
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow --shell /usr/sbin/nologin airflow \
 && install -d -o airflow -g 0 -m 775 /opt/airflow \
      /opt/airflow/dags /opt/airflow/include /opt/airflow/logs /opt/airflow/staging /opt/airflow/sandbox
ENV PATH=/opt/venv/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/airflow
USER 50000:0
CMD ["airflow", "version"]
