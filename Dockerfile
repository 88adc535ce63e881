# streamer in a container: core (CPU) by default, CUDA with --build-arg VARIANT=cuda.
#   docker build -t streamer .
#   docker build -t streamer:cuda --build-arg VARIANT=cuda .
# Python packages come from requirements-VARIANT.lock with their hashes, libGL and GLib from Debian, nothing from elsewhere.
# Research use only.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG VARIANT=core

FROM ${PYTHON_IMAGE} AS build
ARG VARIANT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/streamer
WORKDIR /source
COPY requirements-core.lock requirements-cuda.lock ./
RUN /opt/streamer/bin/pip install --require-hashes --no-deps -r "requirements-${VARIANT}.lock"
COPY pyproject.toml README.md LICENSE ./
COPY streamer streamer
COPY configs configs
COPY weights weights
RUN /opt/streamer/bin/pip install --no-deps --no-build-isolation .

FROM ${PYTHON_IMAGE}
# Versions of Debian's packages are those of the base image's snapshot: pin PYTHON_IMAGE by digest to fix them.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 streamer \
    && useradd --uid 10001 --gid 10001 --create-home --home-dir /var/lib/streamer --shell /usr/sbin/nologin streamer
COPY --from=build /opt/streamer /opt/streamer
ENV PATH=/opt/streamer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STREAMER_CACHE=/var/lib/streamer/cache \
    MPLCONFIGDIR=/tmp \
    RAY_USAGE_STATS_ENABLED=0
USER 10001
WORKDIR /var/lib/streamer
# Written to: /var/lib/streamer (converted networks, audit log, results) and /tmp (uploads). All else may be read-only.
VOLUME ["/var/lib/streamer"]
EXPOSE 7860 9464
HEALTHCHECK --interval=30s --timeout=5s --start-period=180s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/health/ready', timeout=4)"]
ENTRYPOINT ["streamer", "--log-format", "json"]
CMD ["app", "--host", "0.0.0.0", "--auth-file", "/run/secrets/logins", "--metrics", "0.0.0.0:9464", "--audit-log", "/var/lib/streamer/audit"]
