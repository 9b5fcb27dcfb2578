"""The git clone that the course lies in. Snapshots are made beside its index, so the learner's own git sees none."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

OURS = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
OURS |= {f"GIT_{who}_NAME": "lecture17" for who in ("AUTHOR", "COMMITTER")}
OURS |= {f"GIT_{who}_EMAIL": "lecture17@localhost" for who in ("AUTHOR", "COMMITTER")}
OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set where a git hook runs this


class CannotUpdate(RuntimeError):
    """Nothing was changed; the message says why, and what to do."""


class Clone:
    """The clone whose top is `root`. Raises CannotUpdate where there is none, or git is in the middle of something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if shutil.which("git") is None:
            raise CannotUpdate("git is not installed: the newer course comes by git")
        top = self.git("rev-parse", "--show-toplevel", fails=f"{root} is not a git clone: update needs one")
        if Path(top).resolve() != root.resolve():
            raise CannotUpdate(
                f"{root} lies inside the git repository {top}: update needs a clone of the course itself"
            )
        started = map(self.path, ("MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD"))
        if self.git("ls-files", "--unmerged") or any(path.exists() for path in started):
            raise CannotUpdate("git is in the middle of a merge or rebase: finish it or give it up first")

    def git(self, *words: str, stdin: str = "", index: Path | None = None, fails: str = "") -> str:
        """git's answer; raises CannotUpdate with what it said where it refuses. `index` stands in for the clone's."""
        own = {k: v for k, v in os.environ.items() if k not in OTHERS} | OURS
        done = subprocess.run(
            ["git", "-C", str(self.root), *words],
            capture_output=True,
            input=stdin,
            encoding="utf-8",
            errors="surrogateescape",
            env=own | ({"GIT_INDEX_FILE": str(index)} if index else {}),
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
            raise CannotUpdate(fails or f"git {words[0]} failed: {said[0] if said else f'status {done.returncode}'}")
        return done.stdout.rstrip("\n")

    def path(self, name: str) -> Path:
        """Where git keeps a file of its own."""
        return self.root / self.git("rev-parse", "--git-path", name)

    def upstream(self, source: str | None, branch: str | None) -> tuple[str, str | None]:
        """The remote and its branch that the course comes from: named ones first, then a fork's `upstream`."""
        if source:
            return source, branch
        if "upstream" in self.git("remote").split():
            return "upstream", branch
        here = self.git("symbolic-ref", "-q", "--short", "HEAD", fails="git is on no branch: `git switch main` first")
        fix = "this branch follows no other: name where the course lies, `python -m lecture17 update ADDRESS`"
        remote = self.git("config", f"branch.{here}.remote", fails=fix)
        return remote, branch or self.git("config", f"branch.{here}.merge", fails=fix)

    def commit_at(self, name: str, fails: str = "") -> str:
        """The full hash of the commit of that name."""
        fails = fails or f"git finds no commit at {name}"
        return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", fails=fails)

    def named(self, commit: str) -> str:
        """A commit as a person reads it: short hash and date."""
        return self.git("show", "-s", "--date=short", "--format=%h of %cd", commit)

    def differing(self, *trees: str) -> set[str]:
        """The files that differ between two trees, or between one and the work tree."""
        return set(self.git("diff", "--name-only", "--no-renames", "-z", *trees, "--").split("\0")) - {""}

    def files(self, tree: str) -> dict[str, str]:
        """The files of a tree: path → mode and hash."""
        lines = [line.split("\t", 1) for line in self.git("ls-tree", "-r", "-z", tree).split("\0") if line]
        return {path: " ".join(about.split()[::2]) for about, path in lines}

    @contextmanager
    def index(self, tree: str) -> Iterator[Path]:
        """An index that holds `tree`, beside the clone's own."""
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            self.git("read-tree", tree, index=index)
            yield index

    def commit(self, tree: str, *parents: str, message: str) -> str:
        """A commit that nothing names yet."""
        return self.git("commit-tree", tree, *(f"-p{parent}" for parent in parents), "-m", message)

    def snapshot(self, head: str, base: str, goal: str) -> tuple[str, Path]:
        """A commit of `head` with the learner's changes and all that lies where `goal` has other files than `base`.

        What differs from `head` is also copied to a folder of its own in `.lecture17/backups/`, links as links.
        Raises CannotUpdate where a folder lies in place of a file of `goal`, or another clone in place of its folder.
        """
        moved = self.differing(base, goal)
        for name in moved & self.files(goal).keys():
            here = self.root / name
            nested = [f for f in here.relative_to(self.root).parents[:-1] if (self.root / f / ".git").exists()]
            emptied = any(other.startswith(f"{name}/") for other in moved)
            if nested or (here.is_dir() and not here.is_symlink() and not emptied):
                raise CannotUpdate(f"{nested[0] if nested else name} is in the way of the course's {name}: move it")
        backup = self.root / ".lecture17" / "backups" / f"{datetime.now():%Y%m%d-%H%M%S-%f}-update"
        found = self.differing(head) | {name for name in moved if os.path.lexists(self.root / name)}
        with self.index(head) as index:
            self.git("update-index", "--add", "--remove", "-z", "--stdin", stdin="\0".join(found), index=index)
            tree = self.git("write-tree", index=index)
            if copied := self.differing(head, tree) & self.files(tree).keys():
                into = ("checkout-index", f"--prefix={backup}/", "-z", "--stdin")
                self.git(*into, stdin="\0".join(copied), index=index)
        return self.commit(tree, head, message="The learner's files"), backup
