"""What protoc makes of pipeline.proto: Python code for the services, and the description that Envoy reads."""

from pathlib import Path

import google.rpc

from stage.places import PIPELINE


def generate(folder: Path) -> None:
    """Raises: RuntimeError."""
    from grpc_tools import _protoc_compiler, protoc

    folder.mkdir()
    well_known = Path(protoc.__file__).parent / "_proto"
    googles = Path(next(iter(google.rpc.__path__))).parents[1]
    outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    outputs += ["--include_imports", f"--descriptor_set_out={folder}/pipeline.pb"]
    arguments = ["protoc", f"-I{PIPELINE}", f"-I{well_known}", f"-I{googles}", *outputs, "pipeline.proto"]
    if _protoc_compiler.run_main([each.encode() for each in arguments]) != 0:
        raise RuntimeError("protoc refused pipeline.proto")
