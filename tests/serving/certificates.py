"""Certificates made by the openssl program."""

import shutil
import subprocess

import pytest

needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


def make_certificates(folder):
    """Writes `ca`, `server` and `client` there, each as `.key` and `.crt`."""
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    by_ca = ["-CA", "ca.crt", "-CAkey", "ca.key"]
    for name, signed in {"ca": [], "server": by_ca, "client": by_ca}.items():
        extensions = [
            "subjectAltName=IP:127.0.0.1",
            f"basicConstraints=critical,CA:{'TRUE' if name == 'ca' else 'FALSE'}",
        ]
        command = [
            *("openssl", *new, "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.crt"),
            *(word for text in extensions for word in ("-addext", text)),
            *signed,
        ]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder
