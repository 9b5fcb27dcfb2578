"""The git clone that holds the course. Snapshots use an index of their own, so the learner's git never sees them."""

import os
import re
import shlex
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
OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set if a git hook runs this


class CannotUpdate(RuntimeError):
    """Nothing was changed; the message says why and what to do."""


class Clone:
    """The clone at `root`. Raises CannotUpdate if there is none, or if git is in the middle of something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unfiltered = ["-c", "core.fileMode=false"]  # a stick or `chmod -R` changes every mode, and no work
        if shutil.which("git") is None:
            raise CannotUpdate("git is not installed: update needs it to fetch the newer course")
        none = "" if (root / ".git").exists() else f"{root} is not a git clone: update needs one"
        top = self.git("rev-parse", "--show-toplevel", fails=none)
        if Path(top).resolve() != root.resolve():
            raise CannotUpdate(f"{root} is inside the git repository {top}: update needs a clone of the course itself")
        filters = set(re.findall(r"^filter\.(.+)\.\w+$", self.git("config", "--list", "--name-only"), re.MULTILINE))
        for name in filters - {"lfs"}:  # one such as nbstripout would drop outputs from backups and from files
            off = (f"filter.{name}.{key}" for key in ("clean=", "smudge=", "process=", "required=false"))
            self.unfiltered += [word for setting in off for word in ("-c", setting)]
        started = map(self.path, ("MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD"))
        if any(path.exists() for path in started):
            raise CannotUpdate("git is in the middle of a merge or rebase: finish it or abort it first")
        if unmerged := self.git("diff", "--name-only", "--diff-filter=U", "-z").rstrip("\0"):
            files = shlex.join(unmerged.split("\0"))
            raise CannotUpdate(f"git has two versions of {files}: once it is as you want it, `git reset -q -- {files}`")

    def git(self, *words: str, stdin: str = "", index: Path | None = None, fails: str = "") -> str:
        """Run git; returns its output, or raises CannotUpdate with its message. `index` replaces the clone's own."""
        own = {k: v for k, v in os.environ.items() if k not in OTHERS} | OURS
        done = subprocess.run(
            ["git", "-C", str(self.root), *self.unfiltered, *words],
            capture_output=True,
            input=stdin,
            encoding="utf-8",
            errors="surrogateescape",
            env=own | ({"GIT_INDEX_FILE": str(index)} if index else {}),
        )
        if trust := re.search(r"git config --global --add safe\.directory .+", done.stderr):
            folder = trust[0].split(maxsplit=5)[-1]
            raise CannotUpdate(f"{folder} belongs to another user: if you trust it, run `{trust[0]}`")
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
            raise CannotUpdate(fails or f"git {words[0]} failed: {said[0] if said else f'status {done.returncode}'}")
        return done.stdout.rstrip("\n")

    def path(self, name: str) -> Path:
        """Where git keeps a file of its own, such as MERGE_HEAD."""
        return self.root / self.git("rev-parse", "--git-path", name)

    def upstream(self, source: str | None, branch: str | None) -> tuple[str, str | None]:
        """The remote and branch of the newer course: as given, or a fork's `upstream`, or what this branch tracks."""
        if source:
            return source, branch
        if "upstream" in self.git("remote").split():
            return "upstream", branch
        detached = "no branch is checked out: run `git switch main` first"
        here = self.git("symbolic-ref", "-q", "--short", "HEAD", fails=detached)
        fix = "this branch tracks no remote: say where the course is, `python -m lecture17 update ADDRESS`"
        remote = self.git("config", f"branch.{here}.remote", fails=fix)
        return remote, branch or self.git("config", f"branch.{here}.merge", fails=fix)

    def commit_at(self, name: str, fails: str = "") -> str:
        """The full hash of the commit with that name."""
        fails = fails or f"git finds no commit at {name}"
        return self.git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", fails=fails)

    def named(self, commit: str) -> str:
        """A commit as a person reads it: short hash and date."""
        return self.git("show", "-s", "--date=short", "--format=%h of %cd", commit)

    def differing(self, *trees: str) -> set[str]:
        """The files that differ between two trees, or between one tree and the working tree."""
        return set(self.git("diff", "--name-only", "--no-renames", "-z", *trees, "--").split("\0")) - {""}

    def files(self, tree: str) -> dict[str, str]:
        """The files of a tree: path → mode and hash."""
        lines = [line.split("\t", 1) for line in self.git("ls-tree", "-r", "-z", tree).split("\0") if line]
        return {path: " ".join(about.split()[::2]) for about, path in lines}

    @contextmanager
    def index(self, tree: str) -> Iterator[Path]:
        """An index that holds `tree`, apart from the clone's own."""
        with tempfile.TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            self.git("read-tree", tree, index=index)
            yield index

    def commit(self, tree: str, *parents: str, message: str) -> str:
        """A new commit, to which no branch or ref points yet."""
        return self.git("commit-tree", tree, *(f"-p{parent}" for parent in parents), "-m", message)

    def snapshot(self, head: str, base: str, goal: str) -> tuple[str, Path]:
        """A commit on `head` with the learner's changes and whatever is where the files of `base` and `goal` differ.

        What differs from `head` is also copied to a folder of its own in `.lecture17/backups/`, links as links.
        Raises CannotUpdate if there is a folder in place of a file of `goal`, or a link or another clone in place of a
        folder.
        """
        moved = self.differing(base, goal)
        for name in moved & self.files(goal).keys():
            here = self.root / name
            above = [(f, self.root / f) for f in here.relative_to(self.root).parents[:-1]]
            nested = [f for f, folder in above if folder.is_symlink() or (folder / ".git").exists()]
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
