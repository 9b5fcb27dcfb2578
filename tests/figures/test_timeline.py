"""The timeline: places from identifiers, and no two names over each other."""

import pytest

from lecture17.figures.timeline import timeline, year


def test_the_place_is_the_middle_of_the_month_in_the_identifier() -> None:
    assert year("2401.09417") == pytest.approx(2024 + 0.5 / 12)
    assert year("2412.06464") == pytest.approx(2025 - 0.5 / 12)


@pytest.mark.parametrize("identifier", ["2413.00001", "2400.1", "S4", "240.12345", "2405", "2405."])
def test_what_is_no_identifier_is_named(identifier: str) -> None:
    with pytest.raises(ValueError, match=r"expected yymm\.number"):
        year(identifier)


def test_names_of_one_season_do_not_touch_and_the_words_name_all() -> None:
    hybrids = [("Zamba", "2405.16712"), ("Griffin", "2402.19427"), ("StripedHyena", "2403.17844"), ("Jamba", "2403.1")]
    picture = timeline({"hybrids": hybrids, "SSMs": [("S4", "2111.00396")]}, title="A few papers")
    picture.png()
    names = [text for text in picture.axes[0].texts if text.get_text()]
    assert sorted(text.get_text() for text in names) == ["Griffin", "Jamba", "S4", "StripedHyena", "Zamba"]
    boxes = [text.get_window_extent() for text in names]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for name, identifier in hybrids:
        assert f"{name} ({identifier})" in picture.description
    assert "from S4 to Zamba" in picture.description
