"""The clone that the course lies in: what git is asked by an update."""

import os
import shutil
import subprocess
from pathlib import Path


class CannotUpdate(RuntimeError):
    """Nothing was changed; the message says why, and what to do."""


def git(root: Path, *words: str, fails: str = "") -> str:
    """git's answer; raises CannotUpdate with what it said where it refuses."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", "-C", str(root), *words],
        capture_output=True,
        text=True,
        env=os.environ | quiet,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise CannotUpdate(fails or f"git {words[0]} failed: {said[-1] if said else f'status {done.returncode}'}")
    return done.stdout.rstrip("\n")


def require_clone(root: Path) -> None:
    """Raise CannotUpdate unless root is the top of a clone in which git is free to work."""
    if shutil.which("git") is None:
        raise CannotUpdate("git is not installed: the newer course comes by git")
    top = git(root, "rev-parse", "--show-toplevel", fails=f"{root} is not a git clone: update needs one")
    if Path(top).resolve() != root.resolve():
        raise CannotUpdate(f"{root} lies inside the git repository {top}: update needs a clone of the course itself")
    for name in ("MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD"):
        if (root / git(root, "rev-parse", "--git-path", name)).exists():
            raise CannotUpdate("git is in the middle of a merge or rebase: finish it or give it up first")


def upstream(root: Path, source: str | None, branch: str | None) -> tuple[str, str | None]:
    """The remote and its branch that the course comes from: named ones first, then a fork's `upstream`."""
    if source:
        return source, branch
    if "upstream" in git(root, "remote").split():
        return "upstream", branch
    here = git(root, "symbolic-ref", "--quiet", "--short", "HEAD", fails="git is on no branch: `git switch main` first")
    mend = "this branch follows no other: name where the course lies, `python -m lecture17 update ADDRESS`"
    remote = git(root, "config", f"branch.{here}.remote", fails=mend)
    return remote, branch or git(root, "config", f"branch.{here}.merge", fails=mend)


def commit_at(root: Path, name: str) -> str:
    """The full hash of the commit of that name."""
    return git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", fails=f"git finds no commit at {name}")


def named(root: Path, commit: str) -> str:
    """A commit as a person reads it: short hash and date."""
    return git(root, "show", "-s", "--date=short", "--format=%h of %cd", commit)


def differing(root: Path, *commits: str) -> list[str]:
    """The files that differ between two commits, or between one and the work tree."""
    out = git(root, "diff", "--name-only", "--no-renames", "-z", *commits, "--")
    return [name for name in out.split("\0") if name]


def untracked(root: Path) -> list[str]:
    """The files that git neither keeps nor ignores."""
    return [n for n in git(root, "ls-files", "--others", "--exclude-standard", "-z").split("\0") if n]
