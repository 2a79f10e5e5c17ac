"""Compile proto/ into the descriptor set that the package ships: python scripts/generate_protocol.py."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "python" / "mark" / "protocol" / "descriptors.binpb"
SOURCES = ("open_inference_grpc.proto", "mark/v1/control.proto")


def compile_descriptors() -> bytes:
    """Return the serialized FileDescriptorSet of the protocol files."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors.binpb"
        code = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"--descriptor_set_out={out}", *SOURCES])
        if code != 0:
            raise SystemExit(f"protoc failed with exit code {code}")
        return out.read_bytes()


if __name__ == "__main__":
    TARGET.write_bytes(compile_descriptors())
    sys.stdout.write(f"wrote {TARGET.relative_to(ROOT)}\n")
