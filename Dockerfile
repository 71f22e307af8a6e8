# One image for every process: its command is `fillwright` and api, worker, paper, serve or db migrate.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.lock requirements-build.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/fillwright \
    && /opt/fillwright/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /opt/fillwright/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY src ./src
RUN /opt/fillwright/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# tini reaps and forwards signals; the user has no home, no shell, and writes to /data only.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin fillwright \
    && install --directory --owner=fillwright --group=fillwright --mode=0700 /data
COPY --from=build /opt/fillwright /opt/fillwright
ENV PATH=/opt/fillwright/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FILLWRIGHT_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
CMD ["fillwright", "serve"]
