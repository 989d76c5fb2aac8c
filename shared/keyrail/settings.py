"""The only reader of the environment. Every variable is a field of Settings; docs/settings.md lists them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from keyrail.domain.errors import Internal
from keyrail.domain.key_format import IMPORTED_PREFIX, LABEL, KeyFormat
from keyrail.environment import WrongVariables, read, setting

_LABEL = rf"^{LABEL.pattern}$"
_IMPORTED = rf"(?:{IMPORTED_PREFIX.pattern})"
_ADDRESS = r"^(\[[0-9a-fA-F:]+\]|[0-9A-Za-z.-]+):[0-9]{1,5}$"
_HTTP_URL = r"^https?://[^\s?#@]+$"  # a password in it would be in the log of a collector's library
_OTLP_HEADER = r" *[0-9A-Za-z_.-]+ *=[!#-+\--:<-\[\]-~ ]*"  # the SDK would log one that it can't read, token and all
DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field beside its environment variable; Vault's own keep the names that every Vault client reads."""

    store: Literal["vault", "dynamodb", "memory"] = setting("vault", "KEYRAIL_STORE")
    dynamodb_table: str = setting("keyrail", "KEYRAIL_DYNAMODB_TABLE", pattern=r"^[a-zA-Z0-9_.-]{3,255}$")
    dynamodb_deadline_seconds: float = setting(2.0, "KEYRAIL_DYNAMODB_DEADLINE_SECONDS", gt=0, le=30)
    """Region, credentials and endpoint are found as boto3 does."""
    pepper: Literal["vault", "secretsmanager", "kms"] = setting("vault", "KEYRAIL_PEPPER")
    """Anywhere but in Vault, beside keys in DynamoDB: then there is no Vault at all."""
    pepper_secret: str = setting("keyrail-pepper", "KEYRAIL_PEPPER_SECRET", pattern=r"^[a-zA-Z0-9/_+=.@-]{1,512}$")
    pepper_key: str = setting("alias/keyrail-pepper", "KEYRAIL_PEPPER_KEY", pattern=r"^[a-zA-Z0-9:/_-]{1,2048}$")
    """The id, alias or ARN of the KMS key that makes the versions of the pepper which an administrator adds."""
    prefix: str = setting("krl", "KEYRAIL_PREFIX", pattern=_LABEL)
    environment: str = setting("live", "KEYRAIL_ENVIRONMENT", pattern=_LABEL)
    imported_prefixes: str | None = setting(
        None, "KEYRAIL_IMPORTED_PREFIXES", pattern=rf"^{_IMPORTED}(?:,{_IMPORTED}){{0,15}}$"
    )
    """What keys that were made elsewhere begin with, comma separated; none of them is accepted without it."""
    default_lifetime_seconds: int = setting(90 * DAY_SECONDS, "KEYRAIL_DEFAULT_LIFETIME_SECONDS", ge=1)
    max_lifetime_seconds: int = setting(366 * DAY_SECONDS, "KEYRAIL_MAX_LIFETIME_SECONDS", ge=0)
    """0 allows keys that never expire."""
    validate_open: bool = setting(False, "KEYRAIL_VALIDATE_OPEN")
    """True lets callers without a key of their own validate keys: only where the network is the guard."""

    feed_poll_seconds: float = setting(1.0, "KEYRAIL_FEED_POLL_SECONDS", gt=0, le=5)
    feed_poll: Literal["background", "inline"] = setting("background", "KEYRAIL_FEED_POLL")
    max_stale_seconds: float = setting(5.0, "KEYRAIL_MAX_STALE_SECONDS", ge=1, le=60)
    cache_ttl_seconds: float = setting(10.0, "KEYRAIL_CACHE_TTL_SECONDS", ge=0, le=300)
    cache_max_keys: int = setting(20_000, "KEYRAIL_CACHE_MAX_KEYS", ge=0)
    rotation_lease_seconds: float = setting(30.0, "KEYRAIL_ROTATION_LEASE_SECONDS", ge=1, le=600)
    """For how long a rotation in flight is left to whoever runs it."""
    delivery_mount: str = setting("keyrail-delivery", "KEYRAIL_DELIVERY_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    config_mount: str = setting("keyrail-config", "KEYRAIL_CONFIG_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    database_mount: str = setting("database", "KEYRAIL_DATABASE_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Where Vault's database engine is mounted, for configs that rotate with it."""
    sink_dir: str | None = setting(None, "KEYRAIL_SINK_DIR")
    """The folder of `file:` sinks; without it there are none."""
    secrets_prefix: str | None = setting(
        None, "KEYRAIL_SECRETS_PREFIX", pattern=r"^[a-zA-Z0-9_+=.@-]+(/[a-zA-Z0-9_+=.@-]+)*/$"
    )
    """What names of `secretsmanager:` sinks begin with in AWS; without it there are none."""
    event_sink: str | None = setting(None, "K_SINK", pattern=r"^https?://[^\s]+$")
    """Where lifecycle events are posted to as CloudEvents; Knative's SinkBinding sets it, and the next two."""
    event_overrides: str | None = setting(None, "K_CE_OVERRIDES")
    event_sink_ca: str | None = setting(None, "K_CA_CERTS")
    """Certificates in PEM that are trusted beside the system's."""
    event_arn: str | None = setting(None, "KEYRAIL_EVENT_ARN")
    """An SNS topic or an event bus that lifecycle events are sent to, instead of K_SINK."""
    event_mode: Literal["binary", "structured"] = setting("binary", "KEYRAIL_EVENT_MODE")

    tick_oidc_issuer: str | None = setting(None, "KEYRAIL_TICK_OIDC_ISSUER")
    tick_oidc_audience: str | None = setting(None, "KEYRAIL_TICK_OIDC_AUDIENCE")
    tick_oidc_subject: str | None = setting(None, "KEYRAIL_TICK_OIDC_SUBJECT")
    """`sub`, or the `email` of a token that says it is verified; several are separated by commas."""
    tick_oidc_jwks: str | None = setting(None, "KEYRAIL_TICK_OIDC_JWKS")
    """The issuer's public keys: an https address, or a file."""

    grpc_address: str = setting("127.0.0.1:50051", "KEYRAIL_GRPC_ADDRESS", pattern=_ADDRESS)
    grpc_probe_address: str = setting("127.0.0.1:9464", "KEYRAIL_GRPC_PROBE_ADDRESS", pattern=_ADDRESS)
    """Where /livez, /readyz and /metrics are answered over HTTP."""
    grpc_plaintext: bool = setting(False, "KEYRAIL_GRPC_PLAINTEXT")
    """True serves without TLS beyond loopback: only where a mesh or the network encrypts."""
    grpc_operations: str | None = setting(None, "KEYRAIL_GRPC_OPERATIONS", pattern=r"^[a-z_]+(,[a-z_]+)*$")
    grpc_ext_authz: bool = setting(True, "KEYRAIL_GRPC_EXT_AUTHZ")
    grpc_reflection: bool = setting(True, "KEYRAIL_GRPC_REFLECTION")
    grpc_threads: int = setting(8, "KEYRAIL_GRPC_THREADS", ge=2, le=64)
    grpc_waiting: int = setting(64, "KEYRAIL_GRPC_WAITING", ge=0, le=10_000)
    """Calls beyond the threads that may wait for one; those after them are refused."""
    grpc_deadline_seconds: float = setting(10.0, "KEYRAIL_GRPC_DEADLINE_SECONDS", gt=0, le=60)
    grpc_stream_seconds: float = setting(600.0, "KEYRAIL_GRPC_STREAM_SECONDS", ge=1, le=86_400)
    grpc_connection_age_seconds: float = setting(1800.0, "KEYRAIL_GRPC_CONNECTION_AGE_SECONDS", ge=1, le=86_400)
    grpc_message_bytes: int = setting(256 * 1024, "KEYRAIL_GRPC_MESSAGE_BYTES", ge=1024, le=4 * 1024 * 1024)
    grpc_metadata_bytes: int = setting(16 * 1024, "KEYRAIL_GRPC_METADATA_BYTES", ge=1024, le=256 * 1024)
    grpc_drain_notice_seconds: float = setting(3.0, "KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS", ge=0, le=60)
    """Between saying NOT_SERVING and taking no new call, so that whoever balances the load has heard it."""
    grpc_drain_seconds: float = setting(20.0, "KEYRAIL_GRPC_DRAIN_SECONDS", ge=0, le=600)
    grpc_tls_cert: str | None = setting(None, "KEYRAIL_GRPC_TLS_CERT")
    grpc_tls_key: str | None = setting(None, "KEYRAIL_GRPC_TLS_KEY")
    grpc_client_ca: str | None = setting(None, "KEYRAIL_GRPC_CLIENT_CA")
    """A file; with it every client must show a certificate of one of these CAs."""
    grpc_clients: str | None = setting(None, "KEYRAIL_GRPC_CLIENTS")
    """A file that says which certificates stand for which principals."""
    grpc_pki_role: str | None = setting(None, "KEYRAIL_GRPC_PKI_ROLE", pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$")
    """Vault issues the certificate under this role, instead of the two files."""
    grpc_pki_mount: str = setting("pki", "KEYRAIL_GRPC_PKI_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    grpc_pki_name: str = setting("keyrail", "KEYRAIL_GRPC_PKI_NAME", pattern=r"^[a-z0-9.,-]{1,253}$")
    grpc_pki_ttl_seconds: int = setting(DAY_SECONDS, "KEYRAIL_GRPC_PKI_TTL_SECONDS", ge=10, le=90 * DAY_SECONDS)
    authorizer_response: Literal["simple", "iam"] = setting("simple", "KEYRAIL_AUTHORIZER_RESPONSE")
    """How an HTTP API of API Gateway with payload 2.0 was told that it would be answered."""
    authorizer_routes: str | None = setting(None, "KEYRAIL_AUTHORIZER_ROUTES")
    """A JSON object: what each route needs, as docs/lambda.md has it; without it, any live key."""
    metrics: Literal["prometheus", "none"] = setting("prometheus", "KEYRAIL_METRICS")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("INFO", "KEYRAIL_LOG_LEVEL")

    otlp_endpoint: str | None = setting(None, "OTEL_EXPORTER_OTLP_ENDPOINT", pattern=_HTTP_URL)
    """Traces go to /v1/traces below it; without it, or the next one, there are none."""
    otlp_traces_endpoint: str | None = setting(None, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", pattern=_HTTP_URL)
    """The whole address, which goes before the other."""
    otlp_protocol: str = setting("http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp_headers: str | None = setting(
        None, "OTEL_EXPORTER_OTLP_HEADERS", pattern=rf"^{_OTLP_HEADER}(?:,{_OTLP_HEADER})*$", repr=False
    )
    otlp_traces_headers: str | None = setting(
        None, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", pattern=rf"^{_OTLP_HEADER}(?:,{_OTLP_HEADER})*$", repr=False
    )
    otel_disabled: bool = setting(False, "OTEL_SDK_DISABLED")
    otel_service_name: str | None = setting(None, "OTEL_SERVICE_NAME")
    otel_sampler: str = setting("parentbased_always_on", "OTEL_TRACES_SAMPLER")
    otel_sampler_arg: float = setting(1.0, "OTEL_TRACES_SAMPLER_ARG", ge=0, le=1)
    """Which part of the traces the samplers by ratio keep."""

    vault_addr: str = setting("http://127.0.0.1:8200", "VAULT_ADDR", pattern=r"^https?://\S+$")
    vault_namespace: str | None = setting(None, "VAULT_NAMESPACE")
    vault_cacert: str | None = setting(None, "VAULT_CACERT")
    vault_client_cert: str | None = setting(None, "VAULT_CLIENT_CERT")
    vault_client_key: str | None = setting(None, "VAULT_CLIENT_KEY")
    vault_skip_verify: bool = setting(False, "VAULT_SKIP_VERIFY")
    vault_token: str | None = setting(None, "VAULT_TOKEN", repr=False)
    vault_auth: Literal["token", "approle", "kubernetes", "jwt", "google", "aws"] = setting(
        "token", "KEYRAIL_VAULT_AUTH"
    )
    vault_auth_mount: str | None = setting(None, "KEYRAIL_VAULT_AUTH_MOUNT")
    vault_role: str | None = setting(None, "KEYRAIL_VAULT_ROLE")
    vault_role_id: str | None = setting(None, "KEYRAIL_VAULT_ROLE_ID")
    vault_secret_id_file: str | None = setting(None, "KEYRAIL_VAULT_SECRET_ID_FILE")
    vault_jwt_file: str | None = setting(None, "KEYRAIL_VAULT_JWT_FILE")
    vault_google_audience: str | None = setting(None, "KEYRAIL_VAULT_GOOGLE_AUDIENCE")
    google_metadata_host: str = setting("metadata.google.internal", "GCE_METADATA_HOST", pattern=r"^[0-9A-Za-z.:-]+$")
    vault_aws_server_id: str | None = setting(None, "KEYRAIL_VAULT_AWS_SERVER_ID")
    vault_aws_region: str = setting("us-east-1", "KEYRAIL_VAULT_AWS_REGION")
    """Of the STS that Vault asks; us-east-1 is the one without a region in its name."""
    vault_mount: str = setting("keyrail", "KEYRAIL_VAULT_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    vault_deadline_seconds: float = setting(2.0, "KEYRAIL_VAULT_DEADLINE_SECONDS", gt=0, le=30)

    def has_background(self) -> bool:
        """Threads go on between two requests."""
        return self.feed_poll == "background"

    def traces_url(self) -> str | None:
        """None where no traces are collected."""
        if self.otel_disabled:
            return None
        below = f"{self.otlp_endpoint.rstrip('/')}/v1/traces" if self.otlp_endpoint else None
        return self.otlp_traces_endpoint or below

    def key_format(self) -> KeyFormat:
        """Raises: Internal where the prefixes of imported keys are those of our own."""
        prefixes = tuple(self.imported_prefixes.split(",")) if self.imported_prefixes else ()
        try:
            return KeyFormat(self.prefix, self.environment, prefixes)
        except ValueError as error:
            raise Internal(f"settings: KEYRAIL_IMPORTED_PREFIXES: {error}") from error


# Between two calls Lambda freezes a process, and nobody can ask it for its metrics: these are set there unless you do.
ON_LAMBDA = {"KEYRAIL_FEED_POLL": "inline", "KEYRAIL_METRICS": "none"}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Raises: Internal whose detail names each wrong variable, never a value."""
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in environ.items() if value != ""}
    try:
        return read(Settings, ON_LAMBDA | given if "AWS_LAMBDA_RUNTIME_API" in given else given)
    except WrongVariables as error:
        raise Internal(f"settings: {error}") from None
