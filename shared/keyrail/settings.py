"""The only reader of the environment. Every variable is a field of Settings; docs/settings.md lists them."""

import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from keyrail.domain.errors import Internal
from keyrail.domain.key_format import IMPORTED_PREFIX, LABEL, KeyFormat

_LABEL = rf"^{LABEL.pattern}$"
_IMPORTED = rf"(?:{IMPORTED_PREFIX.pattern})"
_ADDRESS = r"^(\[[0-9a-fA-F:]+\]|[0-9A-Za-z.-]+):[0-9]{1,5}$"
_HTTP_URL = r"^https?://[^\s?#@]+$"  # a password in it would be in the log of a collector's library
_OTLP_HEADER = r" *[0-9A-Za-z_.-]+ *=[!#-+\--:<-\[\]-~ ]*"  # the SDK would log one that it can't read, token and all
DAY_SECONDS = 24 * 3600


class Settings(BaseModel):
    """The alias of a field is its environment variable; Vault's own keep the names that every Vault client reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    store: Literal["vault", "dynamodb", "memory"] = Field("vault", alias="KEYRAIL_STORE")
    dynamodb_table: str = Field("keyrail", alias="KEYRAIL_DYNAMODB_TABLE", pattern=r"^[a-zA-Z0-9_.-]{3,255}$")
    dynamodb_deadline_seconds: float = Field(2.0, alias="KEYRAIL_DYNAMODB_DEADLINE_SECONDS", gt=0, le=30)
    """Region, credentials and endpoint are found as boto3 does."""
    prefix: str = Field("krl", alias="KEYRAIL_PREFIX", pattern=_LABEL)
    environment: str = Field("live", alias="KEYRAIL_ENVIRONMENT", pattern=_LABEL)
    imported_prefixes: str | None = Field(
        None, alias="KEYRAIL_IMPORTED_PREFIXES", pattern=rf"^{_IMPORTED}(?:,{_IMPORTED}){{0,15}}$"
    )
    """What keys that were made elsewhere begin with, comma separated; none of them is accepted without it."""
    default_lifetime_seconds: int = Field(90 * DAY_SECONDS, alias="KEYRAIL_DEFAULT_LIFETIME_SECONDS", ge=1)
    max_lifetime_seconds: int = Field(366 * DAY_SECONDS, alias="KEYRAIL_MAX_LIFETIME_SECONDS", ge=0)
    """0 allows keys that never expire."""
    validate_open: bool = Field(False, alias="KEYRAIL_VALIDATE_OPEN")
    """True lets callers without a key of their own validate keys: only where the network is the guard."""

    feed_poll_seconds: float = Field(1.0, alias="KEYRAIL_FEED_POLL_SECONDS", gt=0, le=5)
    feed_poll: Literal["background", "inline"] = Field("background", alias="KEYRAIL_FEED_POLL")
    max_stale_seconds: float = Field(5.0, alias="KEYRAIL_MAX_STALE_SECONDS", ge=1, le=60)
    cache_ttl_seconds: float = Field(10.0, alias="KEYRAIL_CACHE_TTL_SECONDS", ge=0, le=300)
    cache_max_keys: int = Field(20_000, alias="KEYRAIL_CACHE_MAX_KEYS", ge=0)
    rotation_lease_seconds: float = Field(30.0, alias="KEYRAIL_ROTATION_LEASE_SECONDS", ge=1, le=600)
    """For how long a rotation in flight is left to whoever runs it."""
    delivery_mount: str = Field(
        "keyrail-delivery", alias="KEYRAIL_DELIVERY_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"
    )
    config_mount: str = Field("keyrail-config", alias="KEYRAIL_CONFIG_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    database_mount: str = Field("database", alias="KEYRAIL_DATABASE_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Where Vault's database engine is mounted, for configs that rotate with it."""
    sink_dir: str | None = Field(None, alias="KEYRAIL_SINK_DIR")
    """The folder of `file:` sinks; without it there are none."""
    secrets_prefix: str | None = Field(
        None, alias="KEYRAIL_SECRETS_PREFIX", pattern=r"^[a-zA-Z0-9_+=.@-]+(/[a-zA-Z0-9_+=.@-]+)*/$"
    )
    """What names of `secretsmanager:` sinks begin with in AWS; without it there are none."""
    event_sink: str | None = Field(None, alias="K_SINK", pattern=r"^https?://[^\s]+$")
    """Where lifecycle events are posted to as CloudEvents; Knative's SinkBinding sets it, and the next two."""
    event_overrides: str | None = Field(None, alias="K_CE_OVERRIDES")
    event_sink_ca: str | None = Field(None, alias="K_CA_CERTS")
    """Certificates in PEM that are trusted beside the system's."""
    event_arn: str | None = Field(None, alias="KEYRAIL_EVENT_ARN")
    """An SNS topic or an event bus that lifecycle events are sent to, instead of K_SINK."""
    event_mode: Literal["binary", "structured"] = Field("binary", alias="KEYRAIL_EVENT_MODE")

    tick_oidc_issuer: str | None = Field(None, alias="KEYRAIL_TICK_OIDC_ISSUER")
    tick_oidc_audience: str | None = Field(None, alias="KEYRAIL_TICK_OIDC_AUDIENCE")
    tick_oidc_subject: str | None = Field(None, alias="KEYRAIL_TICK_OIDC_SUBJECT")
    """`sub`, or the `email` of a token that says it is verified; several are separated by commas."""
    tick_oidc_jwks: str | None = Field(None, alias="KEYRAIL_TICK_OIDC_JWKS")
    """The issuer's public keys: an https address, or a file."""

    grpc_address: str = Field("127.0.0.1:50051", alias="KEYRAIL_GRPC_ADDRESS", pattern=_ADDRESS)
    grpc_probe_address: str = Field("127.0.0.1:9464", alias="KEYRAIL_GRPC_PROBE_ADDRESS", pattern=_ADDRESS)
    """Where /livez, /readyz and /metrics are answered over HTTP."""
    grpc_plaintext: bool = Field(False, alias="KEYRAIL_GRPC_PLAINTEXT")
    """True serves without TLS beyond loopback: only where a mesh or the network encrypts."""
    grpc_operations: str | None = Field(None, alias="KEYRAIL_GRPC_OPERATIONS", pattern=r"^[a-z_]+(,[a-z_]+)*$")
    grpc_ext_authz: bool = Field(True, alias="KEYRAIL_GRPC_EXT_AUTHZ")
    grpc_reflection: bool = Field(True, alias="KEYRAIL_GRPC_REFLECTION")
    grpc_threads: int = Field(8, alias="KEYRAIL_GRPC_THREADS", ge=2, le=64)
    grpc_waiting: int = Field(64, alias="KEYRAIL_GRPC_WAITING", ge=0, le=10_000)
    """Calls beyond the threads that may wait for one; those after them are refused."""
    grpc_deadline_seconds: float = Field(10.0, alias="KEYRAIL_GRPC_DEADLINE_SECONDS", gt=0, le=60)
    grpc_stream_seconds: float = Field(600.0, alias="KEYRAIL_GRPC_STREAM_SECONDS", ge=1, le=86_400)
    grpc_connection_age_seconds: float = Field(1800.0, alias="KEYRAIL_GRPC_CONNECTION_AGE_SECONDS", ge=1, le=86_400)
    grpc_message_bytes: int = Field(256 * 1024, alias="KEYRAIL_GRPC_MESSAGE_BYTES", ge=1024, le=4 * 1024 * 1024)
    grpc_metadata_bytes: int = Field(16 * 1024, alias="KEYRAIL_GRPC_METADATA_BYTES", ge=1024, le=256 * 1024)
    grpc_drain_notice_seconds: float = Field(3.0, alias="KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS", ge=0, le=60)
    """Between saying NOT_SERVING and taking no new call, so that whoever balances the load has heard it."""
    grpc_drain_seconds: float = Field(20.0, alias="KEYRAIL_GRPC_DRAIN_SECONDS", ge=0, le=600)
    grpc_tls_cert: str | None = Field(None, alias="KEYRAIL_GRPC_TLS_CERT")
    grpc_tls_key: str | None = Field(None, alias="KEYRAIL_GRPC_TLS_KEY")
    grpc_client_ca: str | None = Field(None, alias="KEYRAIL_GRPC_CLIENT_CA")
    """A file; with it every client must show a certificate of one of these CAs."""
    grpc_clients: str | None = Field(None, alias="KEYRAIL_GRPC_CLIENTS")
    """A file that says which certificates stand for which principals."""
    grpc_pki_role: str | None = Field(None, alias="KEYRAIL_GRPC_PKI_ROLE", pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$")
    """Vault issues the certificate under this role, instead of the two files."""
    grpc_pki_mount: str = Field("pki", alias="KEYRAIL_GRPC_PKI_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    grpc_pki_name: str = Field("keyrail", alias="KEYRAIL_GRPC_PKI_NAME", pattern=r"^[a-z0-9.,-]{1,253}$")
    grpc_pki_ttl_seconds: int = Field(DAY_SECONDS, alias="KEYRAIL_GRPC_PKI_TTL_SECONDS", ge=10, le=90 * DAY_SECONDS)
    authorizer_response: Literal["simple", "iam"] = Field("simple", alias="KEYRAIL_AUTHORIZER_RESPONSE")
    """How an HTTP API of API Gateway with payload 2.0 was told that it would be answered."""
    authorizer_routes: str | None = Field(None, alias="KEYRAIL_AUTHORIZER_ROUTES")
    """A JSON object: what each route needs, as docs/lambda.md has it; without it, any live key."""
    metrics: Literal["prometheus", "none"] = Field("prometheus", alias="KEYRAIL_METRICS")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="KEYRAIL_LOG_LEVEL")

    otlp_endpoint: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT", pattern=_HTTP_URL)
    """Traces go to /v1/traces below it; without it, or the next one, there are none."""
    otlp_traces_endpoint: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", pattern=_HTTP_URL)
    """The whole address, which goes before the other."""
    otlp_protocol: str = Field("http/protobuf", alias="OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp_headers: str | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_HEADERS", pattern=rf"^{_OTLP_HEADER}(?:,{_OTLP_HEADER})*$", repr=False
    )
    otlp_traces_headers: str | None = Field(
        None, alias="OTEL_EXPORTER_OTLP_TRACES_HEADERS", pattern=rf"^{_OTLP_HEADER}(?:,{_OTLP_HEADER})*$", repr=False
    )
    otel_disabled: bool = Field(False, alias="OTEL_SDK_DISABLED")
    otel_service_name: str | None = Field(None, alias="OTEL_SERVICE_NAME")
    otel_sampler: str = Field("parentbased_always_on", alias="OTEL_TRACES_SAMPLER")
    otel_sampler_arg: float = Field(1.0, alias="OTEL_TRACES_SAMPLER_ARG", ge=0, le=1)
    """Which part of the traces the samplers by ratio keep."""

    vault_addr: str = Field("http://127.0.0.1:8200", alias="VAULT_ADDR", pattern=r"^https?://\S+$")
    vault_namespace: str | None = Field(None, alias="VAULT_NAMESPACE")
    vault_cacert: str | None = Field(None, alias="VAULT_CACERT")
    vault_client_cert: str | None = Field(None, alias="VAULT_CLIENT_CERT")
    vault_client_key: str | None = Field(None, alias="VAULT_CLIENT_KEY")
    vault_skip_verify: bool = Field(False, alias="VAULT_SKIP_VERIFY")
    vault_token: str | None = Field(None, alias="VAULT_TOKEN", repr=False)
    vault_auth: Literal["token", "approle", "kubernetes", "jwt", "aws"] = Field("token", alias="KEYRAIL_VAULT_AUTH")
    vault_auth_mount: str | None = Field(None, alias="KEYRAIL_VAULT_AUTH_MOUNT")
    vault_role: str | None = Field(None, alias="KEYRAIL_VAULT_ROLE")
    vault_role_id: str | None = Field(None, alias="KEYRAIL_VAULT_ROLE_ID")
    vault_secret_id_file: str | None = Field(None, alias="KEYRAIL_VAULT_SECRET_ID_FILE")
    vault_jwt_file: str | None = Field(None, alias="KEYRAIL_VAULT_JWT_FILE")
    vault_aws_server_id: str | None = Field(None, alias="KEYRAIL_VAULT_AWS_SERVER_ID")
    vault_aws_region: str = Field("us-east-1", alias="KEYRAIL_VAULT_AWS_REGION")
    """Of the STS that Vault asks; us-east-1 is the one without a region in its name."""
    vault_mount: str = Field("keyrail", alias="KEYRAIL_VAULT_MOUNT", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    vault_deadline_seconds: float = Field(2.0, alias="KEYRAIL_VAULT_DEADLINE_SECONDS", gt=0, le=30)

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
        return Settings.model_validate(ON_LAMBDA | given if "AWS_LAMBDA_RUNTIME_API" in given else given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in found)
        raise Internal(f"settings: {problems}") from None
