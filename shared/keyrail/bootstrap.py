"""The composition root: settings to services, adapters chosen by name, built lazily, once a process."""

import logging
import os
import secrets
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from keyrail.adapters.cached_lookup import CacheBounds, CachedLookup
from keyrail.adapters.generated_secret import GeneratedSecret
from keyrail.adapters.json_audit import JsonAuditLog
from keyrail.adapters.memory_limiter import MemoryRateLimiter
from keyrail.adapters.rotators import InstalledRotators
from keyrail.adapters.system_clock import SystemClock
from keyrail.adapters.vault_config import VaultConfig
from keyrail.bootstrap_aws import (
    dynamo_table,
    in_aws_events,
    in_dynamodb,
    in_secrets_manager,
    is_without_vault,
    secret_versions,
    without_vault,
)
from keyrail.bootstrap_ticks import tick_tokens
from keyrail.bootstrap_traces import start_tracing
from keyrail.domain.digest import PEPPER_BYTES, Peppers
from keyrail.domain.errors import Internal
from keyrail.domain.life_policy import LifePolicy
from keyrail.domain.roles import BUILT_IN_ROLES, Roles
from keyrail.ports import (
    ChangeFeed,
    Clock,
    KeyStore,
    Metrics,
    NoMetrics,
    PepperSource,
    RoleSource,
    Services,
)
from keyrail.rotation_ports import (
    ConfigStore,
    CredentialRotator,
    DueIndex,
    EventOutbox,
    EventSink,
    KeyDelivery,
    UsageLog,
)
from keyrail.settings import Settings, load_settings
from keyrail.telemetry import configure_logging, log

if TYPE_CHECKING:
    from keyrail.adapters.vault_certificates import VaultCertificates
    from keyrail.adapters.vault_session import VaultSession


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
    """The adapters of one technology for everything that is kept."""

    keys: KeyStore
    peppers: PepperSource
    roles: RoleSource
    feed: ChangeFeed
    delivery: KeyDelivery
    due: DueIndex
    usage: UsageLog
    outbox: EventOutbox
    configs: ConfigStore
    rotators: dict[str, CredentialRotator]  # those that need this technology


def build_services(settings: Settings) -> Services:
    """Opens no connection: adapters do at their first use."""
    clock = SystemClock()
    metrics = _metrics(settings, clock)
    stores = _stores(settings, metrics, clock)
    return Services(
        key_format=settings.key_format(),
        life_policy=LifePolicy(settings.default_lifetime_seconds, settings.max_lifetime_seconds or None),
        keys=stores.keys,
        lookup=CachedLookup(
            stores.keys, stores.peppers, stores.roles, stores.feed, clock, metrics, _cache_bounds(settings)
        ),
        feed=stores.feed,
        audit=JsonAuditLog(),
        limiter=MemoryRateLimiter(clock.elapsed_seconds),
        clock=clock,
        delivery=stores.delivery,
        due=stores.due,
        usage=stores.usage,
        configs=stores.configs,
        rotators=InstalledRotators({"generated": GeneratedSecret(), **stores.rotators}),
        outbox=stores.outbox if settings.event_sink or settings.event_arn else None,
        event_sink=_event_sink(settings, clock),
        secret_versions=secret_versions(settings),
        tick_tokens=tick_tokens(settings, clock),
        rotation_lease_seconds=settings.rotation_lease_seconds,
        metrics=metrics,
        open_operations=frozenset({"validate_key"} if settings.validate_open else ()),
    )


def _stores(settings: Settings, metrics: Metrics, clock: Clock) -> _Stores:
    if is_without_vault(settings):
        return _Stores(**without_vault(settings, metrics, clock), delivery=_delivery(settings, None))
    if settings.store == "memory":
        return _memory_stores()
    stores = _vault_stores(settings, metrics, clock)
    if settings.store == "dynamodb":
        return replace(stores, **in_dynamodb(dynamo_table(settings, metrics)))
    return stores


def _memory_stores() -> _Stores:
    """For trying things out: everything is gone with the process, and nobody else sees it."""
    from keyrail.adapters.memory_config_store import MemoryConfigStore
    from keyrail.adapters.memory_delivery import MemoryKeyDelivery
    from keyrail.adapters.memory_documents import MemoryPepperSource, MemoryRoleSource
    from keyrail.adapters.memory_due import MemoryDueIndex
    from keyrail.adapters.memory_feed import MemoryChangeFeed
    from keyrail.adapters.memory_keys import MemoryKeyStore
    from keyrail.adapters.memory_outbox import MemoryEventOutbox
    from keyrail.adapters.memory_usage import MemoryUsageLog

    return _Stores(
        keys=MemoryKeyStore(),
        peppers=MemoryPepperSource(Peppers(1, {1: secrets.token_bytes(PEPPER_BYTES)})),
        roles=MemoryRoleSource(Roles(BUILT_IN_ROLES)),
        feed=MemoryChangeFeed(),
        delivery=MemoryKeyDelivery(),
        due=MemoryDueIndex(),
        usage=MemoryUsageLog(),
        outbox=MemoryEventOutbox(),
        configs=MemoryConfigStore(),
        rotators={},
    )


def _vault_stores(settings: Settings, metrics: Metrics, clock: Clock) -> _Stores:
    from keyrail.adapters.vault_config_store import VaultConfigStore
    from keyrail.adapters.vault_database import VaultStaticRole
    from keyrail.adapters.vault_documents import VaultPepperSource, VaultRoleSource
    from keyrail.adapters.vault_due import VaultDueIndex
    from keyrail.adapters.vault_feed import VaultChangeFeed
    from keyrail.adapters.vault_keys import VaultKeyStore
    from keyrail.adapters.vault_outbox import VaultEventOutbox
    from keyrail.adapters.vault_session import VaultSession
    from keyrail.adapters.vault_usage import VaultUsageLog

    config = vault_config(settings)
    session, delivery_session, config_session, database_session = (
        VaultSession(replace(config, mount=mount), metrics, clock.elapsed_seconds)
        for mount in (config.mount, settings.delivery_mount, settings.config_mount, settings.database_mount)
    )
    return _Stores(
        keys=VaultKeyStore(session),
        peppers=VaultPepperSource(session),
        roles=VaultRoleSource(session),
        feed=VaultChangeFeed(session),
        delivery=_delivery(settings, delivery_session),
        due=VaultDueIndex(session),
        usage=VaultUsageLog(session, clock.elapsed_seconds, background=settings.has_background()),
        outbox=VaultEventOutbox(session),
        configs=VaultConfigStore(config_session),
        rotators={"database": VaultStaticRole(database_session)},
    )


def _delivery(settings: Settings, session: "VaultSession | None") -> KeyDelivery:
    """Raises: Internal."""
    from keyrail.adapters.delivery_by_kind import DeliveryByKind

    by_kind: dict[str, KeyDelivery] = {}
    if session is not None:
        from keyrail.adapters.vault_delivery import VaultKeyDelivery

        by_kind["vault"] = VaultKeyDelivery(session)
    if settings.sink_dir is not None:
        from keyrail.adapters.file_delivery import FileKeyDelivery

        by_kind["file"] = FileKeyDelivery(Path(settings.sink_dir))
    if settings.secrets_prefix is not None:
        by_kind["secretsmanager"] = in_secrets_manager(settings.secrets_prefix)
    return DeliveryByKind(by_kind)


def _event_sink(settings: Settings, clock: Clock) -> EventSink | None:
    """Raises: Internal where the settings don't go together, as all of these do."""
    if settings.event_arn is not None:
        return in_aws_events(settings)
    if settings.event_sink is None:
        return None
    from keyrail.adapters.http_event_sink import HttpEventSink, parse_overrides
    from keyrail.adapters.web_server import WebServer

    try:
        server = WebServer(settings.event_sink, "K_SINK", settings.event_sink_ca)
        extensions = parse_overrides(settings.event_overrides)
    except ValueError as error:
        raise Internal(f"settings: {error}") from error
    return HttpEventSink(server, clock.elapsed_seconds, settings.event_mode, extensions)


def vault_config(settings: Settings) -> VaultConfig:
    """Raises: Internal where the settings don't go together."""
    try:
        return VaultConfig(
            address=settings.vault_addr,
            namespace=settings.vault_namespace,
            cacert=settings.vault_cacert,
            client_cert=settings.vault_client_cert,
            client_key=settings.vault_client_key,
            skip_verify=settings.vault_skip_verify,
            auth=settings.vault_auth,
            auth_mount=settings.vault_auth_mount,
            token=settings.vault_token,
            role=settings.vault_role,
            role_id=settings.vault_role_id,
            secret_id_file=settings.vault_secret_id_file,
            jwt_file=settings.vault_jwt_file,
            google_audience=settings.vault_google_audience,
            google_metadata_host=settings.google_metadata_host,
            aws_server_id=settings.vault_aws_server_id,
            aws_region=settings.vault_aws_region,
            mount=settings.vault_mount,
            deadline_seconds=settings.vault_deadline_seconds,
        )
    except ValueError as error:  # names the setting, never its value
        raise Internal(f"settings: {error}") from error


def certificate_issuer(settings: Settings) -> "VaultCertificates":
    """Of Vault's PKI engine, for the gRPC server. Raises: Internal."""
    from keyrail.adapters.vault_certificates import VaultCertificates
    from keyrail.adapters.vault_session import VaultSession

    session = VaultSession(replace(vault_config(settings), mount=settings.grpc_pki_mount))
    names = tuple(settings.grpc_pki_name.split(","))
    return VaultCertificates(session, settings.grpc_pki_role or "", names, settings.grpc_pki_ttl_seconds)


def _metrics(settings: Settings, clock: Clock) -> Metrics:
    if settings.metrics == "none":
        return NoMetrics()
    from keyrail.adapters.prometheus_metrics import PrometheusMetrics

    return PrometheusMetrics(clock.elapsed_seconds)


def _cache_bounds(settings: Settings) -> CacheBounds:
    return CacheBounds(
        poll_seconds=settings.feed_poll_seconds,
        max_stale_seconds=settings.max_stale_seconds,
        ttl_seconds=settings.cache_ttl_seconds,
        max_keys=settings.cache_max_keys,
        background=settings.has_background(),
    )


_built: tuple[int, Services] | None = None
_build_lock = threading.Lock()


def process_services() -> Services:
    """The services of this process; a forked child builds its own. Raises: Internal on wrong settings."""
    global _built
    built = _built
    if built is not None and built[0] == os.getpid():
        return built[1]
    with _build_lock:
        if _built is None or _built[0] != os.getpid():
            _built = (os.getpid(), _built_from_environment())
        return _built[1]


def _built_from_environment() -> Services:
    """Logs which setting is wrong: whoever calls the function is told only INTERNAL."""
    configure_logging()
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.key_format().imported_prefixes)
        start_tracing(settings)
        return build_services(settings)
    except Internal as error:
        log(logging.ERROR, "settings", code=error.code, detail=error.detail)
        raise
