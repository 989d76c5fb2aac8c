"""What a function is on Kubernetes, with Knative or without: its pod, its identity, its names."""

from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

NAMESPACE = "keyrail"
UID = 65532  # of the images
SETTINGS, TICKS = "keyrail-settings", "keyrail-ticks"  # ConfigMaps in infra/kubernetes/
VAULT_AUDIENCE = "vault"  # infra/kubernetes/vault/kubernetes-auth asks for it
TOKEN_SECONDS = 600  # the least that a projected token may live (Kubernetes API, ServiceAccountTokenProjection)
TOKEN_FOLDER, CA_FOLDER, JWKS_FOLDER = "/var/run/secrets/vault", "/etc/keyrail/vault-ca", "/etc/keyrail/jwks"


@dataclass(frozen=True)
class DeployedFunction:
    """A function.yaml; functions/README.md says what its fields mean."""

    name: str
    entry_point: str
    routes: tuple[dict[str, Any], ...]
    memory_mb: int
    timeout_seconds: int
    concurrency: int
    min_instances: int
    extras: tuple[str, ...]
    version: str

    @property
    def host(self) -> str:
        return dns_name(self.name)

    @property
    def schedules(self) -> list[dict[str, Any]]:
        return [route for route in self.routes if route["schedule"] is not None]


def dns_name(name: str) -> str:
    """Kubernetes takes no underscore in a name (RFC 1123)."""
    return name.replace("_", "-")


def labels(name: str, component: str = "function") -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "keyrail",
        "app.kubernetes.io/component": component,
    }


def metadata(name: str, component: str = "function", **more: Any) -> Manifest:
    return {"name": name, "namespace": NAMESPACE, "labels": labels(name, component), **more}


def service_account(name: str, component: str = "function") -> Manifest:
    """Its token is mounted where it is asked for, for one audience, and nowhere else."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(name, component),
        "automountServiceAccountToken": False,
    }


def confined() -> Manifest:
    """The security context of a container under the restricted Pod Security Standard, with a read-only root."""
    return {
        "runAsNonRoot": True,
        "runAsUser": UID,
        "runAsGroup": UID,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(function: DeployedFunction, port_name: str, probe_port: Manifest) -> Manifest:
    ticked = [{"configMapRef": {"name": TICKS}}] if function.schedules else []
    jwks = [{"name": "cluster-jwks", "mountPath": JWKS_FOLDER, "readOnly": True}] if function.schedules else []
    return {
        "name": "function",
        "image": f"keyrail/{function.name}:{function.version}",
        "ports": [{"name": port_name, "containerPort": 8080}],
        "envFrom": [{"configMapRef": {"name": SETTINGS}}, *ticked],
        "env": [
            {"name": "KEYRAIL_VAULT_ROLE", "value": f"keyrail-{function.name}"},
            {"name": "OTEL_SERVICE_NAME", "value": f"keyrail-{function.name}"},
            {"name": "THREADS", "value": str(function.concurrency)},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", **probe_port},
            "periodSeconds": 5,
            "timeoutSeconds": 3,
            "failureThreshold": 2,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", **probe_port},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": f"{function.memory_mb // 2}Mi"},
            "limits": {"memory": f"{function.memory_mb}Mi"},
        },
        "securityContext": confined(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            {"name": "vault-token", "mountPath": TOKEN_FOLDER, "readOnly": True},
            {"name": "vault-ca", "mountPath": CA_FOLDER, "readOnly": True},
            *jwks,
        ],
    }


def volumes(function: DeployedFunction) -> list[Manifest]:
    jwks = [{"name": "cluster-jwks", "configMap": {"name": "cluster-jwks"}}] if function.schedules else []
    return [
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "vault-token", "projected": {"sources": [projected_token(VAULT_AUDIENCE)]}},
        {"name": "vault-ca", "configMap": {"name": "vault-ca", "optional": True}},
        *jwks,
    ]


def projected_token(audience: str) -> Manifest:
    return {"serviceAccountToken": {"path": "token", "audience": audience, "expirationSeconds": TOKEN_SECONDS}}
