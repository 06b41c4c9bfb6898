"""The site is built with strict links, and what it says to run runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "pages"


def blocks(language: str) -> list[tuple[str, str]]:
    """Fenced blocks of a language, a page's together in order, with the page's name."""
    found = []
    for page in sorted(PAGES.rglob("*.md")):
        fences = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
        found += [(str(page.relative_to(PAGES)), fence) for fence in fences]
    return found


def environment(folder: Path) -> dict[str, str]:
    """That of a user, with the command of this tree."""
    script = folder / "bin" / "neardecode"
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        f"#!{sys.executable}\nfrom neardecode_testbench.cli import main\n\n"
        'if __name__ == "__main__":\n    main()\n',
        "utf-8",
    )
    script.chmod(0o755)
    path = os.pathsep.join(sys.path)
    return {**os.environ, "PATH": f"{script.parent}:{os.environ['PATH']}", "PYTHONPATH": path}


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_site_is_built_with_strict_links(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    done = subprocess.run(
        [*command, "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**environment(tmp_path), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    commands = (tmp_path / "site" / "commands.html").read_text("utf-8")
    for name in ("neardecode bench flash", "neardecode project", "neardecode sweep"):
        assert f'id="{name.replace(" ", "-")}"' in commands
    for page in ("index.html", "rtl/neardecode/flash/index.html", "howto/block.html"):
        assert (tmp_path / "site" / page).is_file()


def test_a_broken_link_fails_the_build(tmp_path):
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "index.md").write_text("[nowhere](nowhere.md)\n", "utf-8")
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    validation = config[config.index("validation:") : config.index("theme:")]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: broken\n{validation}", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


@pytest.mark.parametrize(("page", "text"), blocks("python"), ids=lambda value: str(value)[:20])
def test_python_of_the_pages_runs(page, text, tmp_path):
    script = tmp_path / "example.py"
    script.write_text(text, "utf-8")
    run([sys.executable, str(script)], tmp_path)


@pytest.mark.parametrize("page", sorted({page for page, _ in blocks("sh")}))
def test_commands_of_the_pages_run(page, tmp_path):
    for name, text in blocks("sh"):
        if name == page:
            run(["bash", "-euo", "pipefail", "-c", text], tmp_path)
