"""A receiver of ours as a process of its own, which a test may kill, start again and have answer otherwise."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass
class ReceiverProcess:
    """`program` is called with the port and the file that it adds a JSON line to for each thing it was sent; it prints
    `listening` once it does. Beside the file lies the status that it answers with, where a test has set one."""

    program: ClassVar[Path]
    port: int
    file: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, str(self.program), str(self.port), str(self.file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"listening\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def answers(self, status: str) -> None:
        self.file.with_suffix(".status").write_text(status)
