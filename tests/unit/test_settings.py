"""settings.py: the environment, read once, refused as a whole where any of it is wrong, and never told."""

import re
from dataclasses import FrozenInstanceError, replace

import pytest

from keyrail.bootstrap import vault_config
from keyrail.domain.errors import Internal
from keyrail.environment import variables
from keyrail.settings import DAY_SECONDS, Settings, load_settings

CANARY = "Canary4711"


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(Internal) as refused:
        load_settings(environ)
    assert refused.value.__cause__ is None
    assert CANARY not in refused.value.public
    assert "settings" not in refused.value.public
    return refused.value.detail


def test_nothing_set_is_a_vault_on_this_machine() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert (settings.store, settings.vault_addr, settings.vault_mount) == ("vault", "http://127.0.0.1:8200", "keyrail")
    assert (settings.prefix, settings.environment) == ("krl", "live")
    assert (settings.default_lifetime_seconds, settings.max_lifetime_seconds) == (90 * DAY_SECONDS, 366 * DAY_SECONDS)
    assert (settings.feed_poll_seconds, settings.max_stale_seconds, settings.cache_ttl_seconds) == (1, 5, 10)
    assert not settings.validate_open
    assert not settings.vault_skip_verify


def test_vaults_own_variables_keep_their_names() -> None:
    """As every client of Vault reads them (https://developer.hashicorp.com/vault/docs/commands#environment-variables)."""
    usual = {"ADDR", "TOKEN", "NAMESPACE", "CACERT", "CLIENT_CERT", "CLIENT_KEY", "SKIP_VERIFY"}
    names = set(variables(Settings))
    assert {name for name in names if name.startswith("VAULT_")} == {f"VAULT_{name}" for name in usual}
    assert {name for name in names if name.startswith("K_")} == {"K_SINK", "K_CE_OVERRIDES", "K_CA_CERTS"}  # Knative's
    assert all(
        re.fullmatch(r"(VAULT|KEYRAIL|K|OTEL)_[A-Z_]+", name) for name in names - {"GCE_METADATA_HOST"}
    )  # Google's


VALUES = {
    "KEYRAIL_STORE": ("store", "memory", "memory"),
    "KEYRAIL_DYNAMODB_TABLE": ("dynamodb_table", "keys-of.eu_1", "keys-of.eu_1"),
    "KEYRAIL_DYNAMODB_DEADLINE_SECONDS": ("dynamodb_deadline_seconds", "0.5", 0.5),
    "KEYRAIL_PEPPER": ("pepper", "kms", "kms"),
    "KEYRAIL_PEPPER_SECRET": ("pepper_secret", "live/keyrail", "live/keyrail"),
    "KEYRAIL_PEPPER_KEY": ("pepper_key", "alias/another", "alias/another"),
    "KEYRAIL_PREFIX": ("prefix", "acme", "acme"),
    "KEYRAIL_ENVIRONMENT": ("environment", "test", "test"),
    "KEYRAIL_IMPORTED_PREFIXES": ("imported_prefixes", "sk-,pk_", "sk-,pk_"),
    "KEYRAIL_DEFAULT_LIFETIME_SECONDS": ("default_lifetime_seconds", "60", 60),
    "KEYRAIL_MAX_LIFETIME_SECONDS": ("max_lifetime_seconds", "0", 0),
    "KEYRAIL_VALIDATE_OPEN": ("validate_open", "true", True),
    "KEYRAIL_FEED_POLL_SECONDS": ("feed_poll_seconds", "0.5", 0.5),
    "KEYRAIL_FEED_POLL": ("feed_poll", "inline", "inline"),
    "KEYRAIL_MAX_STALE_SECONDS": ("max_stale_seconds", "60", 60),
    "KEYRAIL_CACHE_TTL_SECONDS": ("cache_ttl_seconds", "0", 0),
    "KEYRAIL_CACHE_MAX_KEYS": ("cache_max_keys", "5", 5),
    "KEYRAIL_ROTATION_LEASE_SECONDS": ("rotation_lease_seconds", "600", 600),
    "KEYRAIL_DELIVERY_MOUNT": ("delivery_mount", "delivered", "delivered"),
    "KEYRAIL_CONFIG_MOUNT": ("config_mount", "configs", "configs"),
    "KEYRAIL_DATABASE_MOUNT": ("database_mount", "postgres", "postgres"),
    "KEYRAIL_SINK_DIR": ("sink_dir", "/var/keys", "/var/keys"),
    "KEYRAIL_SECRETS_PREFIX": ("secrets_prefix", "keyrail/", "keyrail/"),
    "K_SINK": ("event_sink", "https://events.example.com/in", "https://events.example.com/in"),
    "K_CE_OVERRIDES": ("event_overrides", '{"extensions": {}}', '{"extensions": {}}'),
    "K_CA_CERTS": ("event_sink_ca", "PEM", "PEM"),
    "KEYRAIL_EVENT_ARN": (
        "event_arn",
        "arn:aws:sns:eu-central-1:123456789012:keys",
        "arn:aws:sns:eu-central-1:123456789012:keys",
    ),
    "KEYRAIL_EVENT_MODE": ("event_mode", "structured", "structured"),
    "KEYRAIL_TICK_OIDC_ISSUER": ("tick_oidc_issuer", "https://issuer.example.com", "https://issuer.example.com"),
    "KEYRAIL_TICK_OIDC_AUDIENCE": ("tick_oidc_audience", "keyrail", "keyrail"),
    "KEYRAIL_TICK_OIDC_SUBJECT": ("tick_oidc_subject", "a-scheduler", "a-scheduler"),
    "KEYRAIL_TICK_OIDC_JWKS": ("tick_oidc_jwks", "/etc/keys.json", "/etc/keys.json"),
    "KEYRAIL_GRPC_ADDRESS": ("grpc_address", "[::1]:50052", "[::1]:50052"),
    "KEYRAIL_GRPC_PROBE_ADDRESS": ("grpc_probe_address", "10.0.0.1:9000", "10.0.0.1:9000"),
    "KEYRAIL_GRPC_PLAINTEXT": ("grpc_plaintext", "true", True),
    "KEYRAIL_GRPC_OPERATIONS": ("grpc_operations", "validate_key,get_key", "validate_key,get_key"),
    "KEYRAIL_GRPC_EXT_AUTHZ": ("grpc_ext_authz", "false", False),
    "KEYRAIL_GRPC_REFLECTION": ("grpc_reflection", "0", False),
    "KEYRAIL_GRPC_THREADS": ("grpc_threads", "2", 2),
    "KEYRAIL_GRPC_WAITING": ("grpc_waiting", "0", 0),
    "KEYRAIL_GRPC_DEADLINE_SECONDS": ("grpc_deadline_seconds", "0.5", 0.5),
    "KEYRAIL_GRPC_STREAM_SECONDS": ("grpc_stream_seconds", "1", 1),
    "KEYRAIL_GRPC_CONNECTION_AGE_SECONDS": ("grpc_connection_age_seconds", "60", 60),
    "KEYRAIL_GRPC_MESSAGE_BYTES": ("grpc_message_bytes", "4194304", 4194304),
    "KEYRAIL_GRPC_METADATA_BYTES": ("grpc_metadata_bytes", "1024", 1024),
    "KEYRAIL_GRPC_DRAIN_NOTICE_SECONDS": ("grpc_drain_notice_seconds", "0", 0),
    "KEYRAIL_GRPC_DRAIN_SECONDS": ("grpc_drain_seconds", "600", 600),
    "KEYRAIL_GRPC_TLS_CERT": ("grpc_tls_cert", "/tls/tls.crt", "/tls/tls.crt"),
    "KEYRAIL_GRPC_TLS_KEY": ("grpc_tls_key", "/tls/tls.key", "/tls/tls.key"),
    "KEYRAIL_GRPC_CLIENT_CA": ("grpc_client_ca", "/tls/ca.crt", "/tls/ca.crt"),
    "KEYRAIL_GRPC_CLIENTS": ("grpc_clients", "/etc/clients.json", "/etc/clients.json"),
    "KEYRAIL_GRPC_PKI_ROLE": ("grpc_pki_role", "keyrail-grpc", "keyrail-grpc"),
    "KEYRAIL_GRPC_PKI_MOUNT": ("grpc_pki_mount", "pki-ml", "pki-ml"),
    "KEYRAIL_GRPC_PKI_NAME": ("grpc_pki_name", "keyrail.svc,localhost", "keyrail.svc,localhost"),
    "KEYRAIL_GRPC_PKI_TTL_SECONDS": ("grpc_pki_ttl_seconds", "10", 10),
    "KEYRAIL_AUTHORIZER_RESPONSE": ("authorizer_response", "iam", "iam"),
    "KEYRAIL_AUTHORIZER_ROUTES": ("authorizer_routes", '{"*": {}}', '{"*": {}}'),
    "KEYRAIL_METRICS": ("metrics", "none", "none"),
    "KEYRAIL_LOG_LEVEL": ("log_level", "DEBUG", "DEBUG"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("otlp_endpoint", "http://collector:4318", "http://collector:4318"),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ("otlp_traces_endpoint", "http://c:1/x", "http://c:1/x"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("otlp_protocol", "http/protobuf", "http/protobuf"),
    "OTEL_EXPORTER_OTLP_HEADERS": ("otlp_headers", "api-key=a%20b, x=y", "api-key=a%20b, x=y"),
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": ("otlp_traces_headers", "authorization=Basic a=", "authorization=Basic a="),
    "OTEL_SDK_DISABLED": ("otel_disabled", "true", True),
    "OTEL_SERVICE_NAME": ("otel_service_name", "validate-key", "validate-key"),
    "OTEL_TRACES_SAMPLER": ("otel_sampler", "traceidratio", "traceidratio"),
    "OTEL_TRACES_SAMPLER_ARG": ("otel_sampler_arg", "0.01", 0.01),
    "VAULT_ADDR": ("vault_addr", "https://vault.example.com:8200/", "https://vault.example.com:8200/"),
    "VAULT_NAMESPACE": ("vault_namespace", "admin/ml", "admin/ml"),
    "VAULT_CACERT": ("vault_cacert", "/etc/ca.pem", "/etc/ca.pem"),
    "VAULT_CLIENT_CERT": ("vault_client_cert", "/etc/me.pem", "/etc/me.pem"),
    "VAULT_CLIENT_KEY": ("vault_client_key", "/etc/me.key", "/etc/me.key"),
    "VAULT_SKIP_VERIFY": ("vault_skip_verify", "1", True),
    "VAULT_TOKEN": ("vault_token", "t", "t"),
    "KEYRAIL_VAULT_AUTH": ("vault_auth", "approle", "approle"),
    "KEYRAIL_VAULT_AUTH_MOUNT": ("vault_auth_mount", "approle-ml", "approle-ml"),
    "KEYRAIL_VAULT_ROLE": ("vault_role", "issue-key", "issue-key"),
    "KEYRAIL_VAULT_ROLE_ID": ("vault_role_id", "r", "r"),
    "KEYRAIL_VAULT_SECRET_ID_FILE": ("vault_secret_id_file", "/run/secret-id", "/run/secret-id"),
    "KEYRAIL_VAULT_JWT_FILE": ("vault_jwt_file", "/run/jwt", "/run/jwt"),
    "KEYRAIL_VAULT_GOOGLE_AUDIENCE": ("vault_google_audience", "keyrail-vault", "keyrail-vault"),
    "GCE_METADATA_HOST": ("google_metadata_host", "127.0.0.1:8081", "127.0.0.1:8081"),
    "KEYRAIL_VAULT_AWS_SERVER_ID": ("vault_aws_server_id", "vault.example.com", "vault.example.com"),
    "KEYRAIL_VAULT_AWS_REGION": ("vault_aws_region", "eu-central-1", "eu-central-1"),
    "KEYRAIL_VAULT_MOUNT": ("vault_mount", "keyrail-ml", "keyrail-ml"),
    "KEYRAIL_VAULT_DEADLINE_SECONDS": ("vault_deadline_seconds", "0.5", 0.5),
}


def test_every_variable_is_tried_here() -> None:
    assert {alias: name for alias, (name, _, _) in VALUES.items()} == {
        variable: field.name for variable, field in variables(Settings).items()
    }


@pytest.mark.parametrize("variable", VALUES)
def test_a_variable_sets_its_field_and_no_other(variable: str) -> None:
    name, text, value = VALUES[variable]
    settings = load_settings({variable: text})
    assert getattr(settings, name) == value
    assert replace(settings, **{name: getattr(Settings(), name)}) == Settings()


@pytest.mark.parametrize("variable", VALUES)
def test_an_empty_variable_is_one_that_is_not_set(variable: str) -> None:
    """As `docker run -e NAME=` and compose files leave them."""
    assert load_settings({variable: ""}) == Settings()


def test_what_is_none_of_ours_is_left_alone() -> None:
    assert load_settings({"PATH": "/bin", "KEYRAIL_STORED": "x", "keyrail_store": "memory"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KEYRAIL_STORE", CANARY),
        ("KEYRAIL_STORE", "Memory"),
        *(("KEYRAIL_DYNAMODB_TABLE", text) for text in ("ab", "a/b", "a b", "keys\n", "a" * 256)),
        ("KEYRAIL_DYNAMODB_DEADLINE_SECONDS", "0"),
        ("KEYRAIL_PEPPER", "memory"),
        *(("KEYRAIL_PEPPER_SECRET", text) for text in ("a secret", "arn:aws:secretsmanager", "pepper\n")),
        *(("KEYRAIL_PEPPER_KEY", text) for text in ("alias/a key", "alias/key\n")),
        *(("KEYRAIL_SECRETS_PREFIX", text) for text in ("keyrail", "/", "/keyrail/", "a//", "a b/", "a/\n")),
        ("KEYRAIL_DYNAMODB_DEADLINE_SECONDS", "31"),
        ("KEYRAIL_PREFIX", "Krl"),
        ("KEYRAIL_PREFIX", "k_r"),
        ("KEYRAIL_PREFIX", "krl\n"),
        ("KEYRAIL_PREFIX", "abcdefghijklm"),
        ("KEYRAIL_ENVIRONMENT", "1live"),
        *(("KEYRAIL_IMPORTED_PREFIXES", text) for text in ("s", "sk-,", ",sk-", "sk-, pk_", "a" * 17, "sk/", "sk-\n")),
        ("KEYRAIL_DEFAULT_LIFETIME_SECONDS", "0"),
        ("KEYRAIL_DEFAULT_LIFETIME_SECONDS", CANARY),
        ("KEYRAIL_DEFAULT_LIFETIME_SECONDS", "1.5"),
        ("KEYRAIL_MAX_LIFETIME_SECONDS", "-1"),
        ("KEYRAIL_VALIDATE_OPEN", "maybe"),
        ("KEYRAIL_FEED_POLL_SECONDS", "0"),
        ("KEYRAIL_FEED_POLL_SECONDS", "6"),
        ("KEYRAIL_FEED_POLL_SECONDS", "nan"),
        ("KEYRAIL_FEED_POLL", "sometimes"),
        ("KEYRAIL_MAX_STALE_SECONDS", "0.5"),
        ("KEYRAIL_MAX_STALE_SECONDS", "61"),
        ("KEYRAIL_MAX_STALE_SECONDS", "inf"),
        ("KEYRAIL_CACHE_TTL_SECONDS", "301"),
        ("KEYRAIL_CACHE_TTL_SECONDS", "nan"),
        ("KEYRAIL_CACHE_MAX_KEYS", "-1"),
        ("KEYRAIL_GRPC_ADDRESS", CANARY),
        ("KEYRAIL_GRPC_ADDRESS", ":50051"),
        ("KEYRAIL_GRPC_ADDRESS", "host:port"),
        ("KEYRAIL_GRPC_OPERATIONS", "validate_key,"),
        ("KEYRAIL_GRPC_THREADS", "1"),
        ("KEYRAIL_GRPC_THREADS", "65"),
        ("KEYRAIL_GRPC_WAITING", "-1"),
        ("KEYRAIL_GRPC_DEADLINE_SECONDS", "0"),
        ("KEYRAIL_GRPC_MESSAGE_BYTES", "5242880"),
        ("KEYRAIL_GRPC_PKI_ROLE", "../sys"),
        ("KEYRAIL_GRPC_PKI_MOUNT", "pki/../sys"),
        ("KEYRAIL_GRPC_PKI_NAME", "a b"),
        ("KEYRAIL_GRPC_PKI_TTL_SECONDS", "9"),
        ("KEYRAIL_METRICS", "statsd"),
        ("KEYRAIL_LOG_LEVEL", "TRACE"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:{CANARY}@collector"),
        *(("OTEL_EXPORTER_OTLP_HEADERS", text) for text in (CANARY, f"a={CANARY},b", f'a="{CANARY}"', f"a={CANARY}\n")),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"a={CANARY};b"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("VAULT_ADDR", "vault.example.com"),
        ("VAULT_ADDR", "ftp://vault.example.com"),
        ("VAULT_ADDR", "https://vault.example.com /"),
        ("VAULT_SKIP_VERIFY", CANARY),
        ("KEYRAIL_VAULT_AUTH", "github"),
        ("KEYRAIL_VAULT_MOUNT", "../sys"),
        ("KEYRAIL_VAULT_MOUNT", "keyrail/data"),
        ("KEYRAIL_VAULT_DEADLINE_SECONDS", "0"),
        ("KEYRAIL_VAULT_DEADLINE_SECONDS", "31"),
    ],
)
def test_a_wrong_one_is_named_and_its_value_is_not(variable: str, text: str) -> None:
    detail = refusal({variable: text, "VAULT_TOKEN": CANARY})
    assert detail.startswith(f"settings: {variable}: ")
    assert CANARY not in detail


def test_all_wrong_ones_are_named_at_once() -> None:
    detail = refusal({"KEYRAIL_STORE": "box", "KEYRAIL_LOG_LEVEL": "loud"})
    assert "KEYRAIL_STORE" in detail
    assert "KEYRAIL_LOG_LEVEL" in detail


def test_the_token_is_not_shown() -> None:
    assert CANARY not in repr(load_settings({"VAULT_TOKEN": CANARY}))
    assert CANARY not in str(load_settings({"VAULT_TOKEN": CANARY}))


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        load_settings({}).store = "memory"  # type: ignore[misc]


class TestVaultConfig:
    """What settings mean together is checked before anything connects."""

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"VAULT_TOKEN": f"{CANARY}\n"},
            {"VAULT_TOKEN": "t", "VAULT_ADDR": f"https://me:{CANARY}@vault.example.com"},
            {"VAULT_TOKEN": "t", "VAULT_ADDR": f"https://vault.example.com?token={CANARY}"},
            {"VAULT_TOKEN": "t", "VAULT_ADDR": "https://vault.example.com", "VAULT_SKIP_VERIFY": "true"},
            {"VAULT_TOKEN": "t", "VAULT_CLIENT_KEY": CANARY},
            {"KEYRAIL_VAULT_AUTH": "approle", "VAULT_TOKEN": CANARY},
            {"KEYRAIL_VAULT_AUTH": "jwt", "KEYRAIL_VAULT_ROLE": CANARY},
            {"VAULT_TOKEN": "t", "VAULT_NAMESPACE": f"{CANARY}/../x"},
            {"KEYRAIL_VAULT_AUTH": "aws", "KEYRAIL_VAULT_ROLE": CANARY},
            {"VAULT_TOKEN": "t", "KEYRAIL_VAULT_AWS_REGION": f"eu.{CANARY}/"},
            {"VAULT_TOKEN": "t", "KEYRAIL_VAULT_AWS_SERVER_ID": f"{CANARY}\n"},
        ],
        ids=[
            "no token",
            "a token with a line break",
            "a password in the address",
            "a query in the address",
            "no verification across a network",
            "a client key without its certificate",
            "AppRole without a role id",
            "JWT without a file",
            "a namespace that climbs",
            "AWS without a server id",
            "a region that is another host",
            "a server id with a line break",
        ],
    )
    def test_what_does_not_go_together_is_refused(self, environ: dict[str, str]) -> None:
        with pytest.raises(Internal) as refused:
            vault_config(load_settings(environ))
        assert refused.value.detail.startswith("settings: ")
        assert CANARY not in refused.value.detail + refused.value.public

    def test_what_goes_together_is_taken_as_it_is(self) -> None:
        environ = {
            "VAULT_ADDR": "https://vault.example.com:8200/behind/a/proxy",
            "KEYRAIL_VAULT_AUTH": "approle",
            "KEYRAIL_VAULT_ROLE_ID": "r",
            "KEYRAIL_VAULT_SECRET_ID_FILE": "/run/secret-id",
            "VAULT_NAMESPACE": "admin/ml",
        }
        config = vault_config(load_settings(environ))
        assert config.address == environ["VAULT_ADDR"]
        assert (config.auth, config.role_id, config.secret_id_file) == ("approle", "r", "/run/secret-id")
        assert (config.namespace, config.mount, config.deadline_seconds) == ("admin/ml", "keyrail", 2.0)


def test_prefixes_of_imported_keys_reach_the_parser() -> None:
    assert load_settings({}).key_format().imported_prefixes == ()
    assert load_settings({"KEYRAIL_IMPORTED_PREFIXES": "sk-,pk_"}).key_format().imported_prefixes == ("sk-", "pk_")


def test_a_prefix_of_our_own_keys_is_no_prefix_of_imported_ones() -> None:
    with pytest.raises(Internal) as refused:
        load_settings({"KEYRAIL_IMPORTED_PREFIXES": "sk-,krl_"}).key_format()
    assert refused.value.detail == (
        "settings: KEYRAIL_IMPORTED_PREFIXES: prefixes of imported keys must not be those of our own"
    )


def test_on_lambda_nothing_runs_in_the_background_unless_told_so() -> None:
    lambdas = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
    settings = load_settings(lambdas)
    assert (settings.feed_poll, settings.metrics) == ("inline", "none")
    assert replace(settings, feed_poll="background", metrics="prometheus") == Settings()
    told = {"KEYRAIL_FEED_POLL": "background", "KEYRAIL_METRICS": "prometheus"}
    assert load_settings(lambdas | told) == Settings()
