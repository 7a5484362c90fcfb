# The portal's image: web, worker and beat run from it with different commands. Nodes do not: see deploy/systemd.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /app bitgoeul && mkdir -p /app/staticfiles /data && chown bitgoeul /app/staticfiles /data
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
RUN /venv/bin/python -m tools.catalogue compile
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 MEDIA_ROOT=/data/media
USER bitgoeul
EXPOSE 8000
ENTRYPOINT ["/app/deploy/entrypoint"]
CMD ["web"]
