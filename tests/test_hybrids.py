"""The table of hybrids: its rows are consistent, and its words and numbers follow from them."""

import pytest

from lecture17.hybrids import LAYOUTS, Layout

each = pytest.mark.parametrize("layout", [pytest.param(layout, id=layout.name) for layout in LAYOUTS])


@each
def test_attention_layers_are_layers_in_order_and_queries_come_in_equal_groups(layout: Layout) -> None:
    attention = list(layout.attention)
    assert attention == sorted(set(attention))
    assert 0 <= attention[0] <= attention[-1] < layout.layers
    queries, pairs = layout.heads
    assert queries % pairs == 0
    assert set(layout.shared) <= {"layers", "heads"}
    assert layout.peer or not layout.shared


def test_names_are_unique() -> None:
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS)


def test_where_attention_is_in_words() -> None:
    words = {layout.name: layout.where for layout in LAYOUTS}
    assert words["Jamba"] == "one in 8, from layer 4"
    assert words["Falcon-H1 7B"] == "every layer"
    assert words["LFM2 1.2B"] == "2, 5, 8, 10, 12, 14"


def test_caches_grow_by_the_share_of_layers_and_of_pairs_and_not_at_all_in_a_window() -> None:
    growth = {layout.name: layout.growth for layout in LAYOUTS}
    assert growth["Jamba"] == 4 / 32 * 8 / 32
    assert growth["Olmo Hybrid 7B"] == 1 / 4
    assert growth["Samba 421M"] == 0
    assert 0.01 < growth["Kimi Linear 48B"] < 0.02
