"""The Python code of the gRPC API, made by protoc from proto/. `make proto` writes it to shared/keyrail."""

import sys
from pathlib import Path

import google.rpc

ROOT = Path(__file__).parents[3]
PROTO = ROOT / "proto"


def generate(folder: Path) -> None:
    """Below `folder`, as it lies below shared/; of Envoy's API the messages alone, since its service is bound by hand.

    Raises: RuntimeError where protoc refuses a file; it says why.
    """
    from grpc_tools import _protoc_compiler, protoc

    files = sorted(str(file.relative_to(PROTO)) for file in PROTO.rglob("*.proto"))
    serving = [name for name in files if name.startswith("keyrail/v1/") and "\nservice " in (PROTO / name).read_text()]
    well_known = Path(protoc.__file__).parent / "_proto"
    googles = Path(next(iter(google.rpc.__path__))).parents[1]
    includes = [f"-I{PROTO}", f"-I{well_known}", f"-I{googles}"]
    for outputs, names in (
        ([f"--python_out={folder}", f"--pyi_out={folder}"], files),
        ([f"--grpc_python_out={folder}"], serving),
    ):
        arguments = ["protoc", *includes, *outputs, *names]
        if _protoc_compiler.run_main([each.encode() for each in arguments]) != 0:
            raise RuntimeError("protoc refused a file")


if __name__ == "__main__":
    generate(ROOT / "shared")
    sys.stdout.write("shared/keyrail/v1 and shared/keyrail/envoy are up to date\n")
