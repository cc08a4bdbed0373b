"""Take the pictures of docs/report.md from the report of a run: python docs/make_images.py RUN."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tunekit

IMAGES = Path(__file__).parent / "images"
PICTURES = {
    "report-light.png": (1120, 1180, False),
    "report-dark.png": (1120, 1180, True),
    "report-phone-light.png": (390, 1180, False),
    "report-phone-dark.png": (390, 1180, True),
}
"""Width, height, and whether it is dark."""
MOST = 160_000
"""Bytes of a picture."""


def main(run_id: str) -> None:
    """Write the pictures."""
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        sys.exit("no Chromium is on the path")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = tunekit.get(run_id).report(Path(folder) / "report.html")
        for name, (width, height, dark) in PICTURES.items():
            command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += [
                f"--user-data-dir={folder}/profile",
                f"--window-size={width},{height}",
                # 0 is dark and 1 is light.
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                f"--screenshot={IMAGES / name}",
                page.as_uri(),
            ]
            subprocess.run(command, check=True, capture_output=True)
            size = (IMAGES / name).stat().st_size
            print(f"{name}: {size:,} bytes")
            if size > MOST:
                sys.exit(f"{name} is larger than {MOST:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
