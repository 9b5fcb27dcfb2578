"""The cache of attention: keys and values in one piece of memory, with room for those to come."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass
class Room:
    """Memory for keys and values, which a cache shares with those that follow from it."""

    kv: Tensor  # (2, batch, heads, places, head_dim)
    first: int  # position of the token in the first place
    end: int  # position after the last token written


class Cache(NamedTuple):
    """Keys and values of the tokens so far, or of the last ones: the only cache in this package that grows."""

    k: Tensor  # (batch, heads, tokens kept, head_dim), like v a view of the room
    v: Tensor
    position: int = 0  # of the next token: tokens read, also those that are not kept
    room: Room | None = None

    def append(self, k: Tensor, v: Tensor) -> "Cache":
        """The cache after more tokens: (batch, heads, time, head_dim) each.

        They are written behind the others while the room has places, and only by its newest cache, so that older ones
        can be continued, too. Else all tokens move to a new room that has as many places left. Reading N tokens one by
        one thus copies fewer than 2 N. With gradients, tensors are concatenated: the graph needs the old ones.
        """
        kept, position = self.k.shape[2], self.position + k.shape[2]
        if torch.is_grad_enabled():
            return Cache(torch.cat([self.k, k], dim=2), torch.cat([self.v, v], dim=2), position)
        room = self.room
        if room is None or room.end > self.position or position - room.first > room.kv.shape[3]:
            places = 2 * kept + k.shape[2]
            room = Room(k.new_empty(2, *k.shape[:2], places, k.shape[3]), self.position - kept, position)
            room.kv[0, :, :, :kept], room.kv[1, :, :, :kept] = self.k, self.v
        start, here, end = (p - room.first for p in (self.position - kept, self.position, position))
        room.kv[0, :, :, here:end], room.kv[1, :, :, here:end] = k, v
        room.end = position
        return Cache(room.kv[0, :, :, start:end], room.kv[1, :, :, start:end], position, room)

    def last(self, n: int) -> "Cache":
        """The cache with its last n tokens alone: all that moves to the next room, so memory does not grow.

        It is the ring buffer of a window, except that it starts again in new memory: a ring that is written over would
        change the caches of others.
        """
        begin = max(self.k.shape[2] - n, 0)
        return self._replace(k=self.k[:, :, begin:], v=self.v[:, :, begin:])
