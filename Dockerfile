# syntax=docker/dockerfile:1
# Give BASE with a digest where images are released: --build-arg BASE=python:3.11-slim@sha256:…
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
# Dependencies first: they change rarely, so their layer is kept.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/penpay \
    && /opt/penpay/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements.lock \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-deps --only-binary :all: --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md ./
COPY penpay penpay
COPY actors actors
COPY supervisors supervisors
COPY config config
COPY sql sql
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/penpay/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/penpay/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin penpay \
    && install -d -o penpay -g penpay -m 0700 /var/lib/penpay
COPY --from=build /opt/penpay /opt/penpay
ENV PATH=/opt/penpay/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PENPAY_HTTP__PUBLIC_BIND=0.0.0.0:8080 \
    PENPAY_NODE__STATE_DIR=/var/lib/penpay
USER 10001:10001
WORKDIR /var/lib/penpay
VOLUME ["/var/lib/penpay"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8081/healthz', timeout=2)"]
ENTRYPOINT ["penpay"]
CMD ["serve"]
