"""The quiz: every answer is explained, and what is shown follows what is chosen."""

import pytest

from lecture17.widgets import Quiz
from lecture17.widgets.quiz import QUESTIONS, score, verdict
from tests.conftest import Displayed

ANSWERS = [(question, i) for question in QUESTIONS for i in range(len(question.answers))]


def test_there_are_ten_questions_with_three_answers_and_no_telling_place() -> None:
    assert len(QUESTIONS) == 10
    assert {len(question.answers) for question in QUESTIONS} == {3}
    assert {question.right for question in QUESTIONS} == {0, 1, 2}
    assert len({question.text for question in QUESTIONS}) == 10


@pytest.mark.parametrize(("question", "number"), ANSWERS, ids=lambda x: getattr(x, "text", str(x))[:40])
def test_every_answer_is_explained_and_a_wrong_one_gets_the_right_one_too(question, number: int) -> None:  # type: ignore[no-untyped-def]
    words = verdict(question, number)
    own = question.answers[number][1]
    assert len(own) > 40
    assert own in words
    answer, why = question.answers[question.right]
    if number == question.right:
        assert words.startswith("Right. ")
    else:
        assert words.startswith("Not quite. ")
        assert answer in words
        assert why in words
        assert question.part in words


def test_an_answer_that_does_not_exist_is_named() -> None:
    for number in (-1, 3):
        with pytest.raises(ValueError, match=f"number is {number}: expected 0 to 2"):
            verdict(QUESTIONS[0], number)


def test_the_score_counts_right_ones_and_sends_back_to_the_parts_of_the_wrong_ones() -> None:
    right = [[question.right] for question in QUESTIONS]
    assert score(right) == "10 right of 10 answered; 10 questions in all."
    assert score([[(right[0][0] + 1) % 3], *right[1:9], []]) == (
        "8 right of 9 answered; 10 questions in all. Read again: part 03b."
    )


def test_notes_and_words_follow_what_is_chosen_and_can_be_emptied() -> None:
    quiz = Quiz()
    assert quiz.notes == [""] * 10
    quiz.marked = [[2], *quiz.marked[1:]]
    assert quiz.notes == [verdict(QUESTIONS[0], 2), *[""] * 9]
    assert quiz.words == score(quiz.marked)
    quiz.marked = [[] for _ in QUESTIONS]
    assert quiz.notes == [""] * 10
    assert Quiz().marked == [[] for _ in QUESTIONS]


def test_where_nobody_can_answer_everything_is_there_with_the_answers_folded_away() -> None:
    data, _ = Quiz()._repr_mimebundle_()
    assert set(data) == {"text/markdown", "text/plain"}
    text = data["text/markdown"]
    assert text.count("<details>") == text.count("</details>") == 10
    for question in QUESTIONS:
        assert question.text in text
        for answer, explanation in question.answers:
            assert text.count(answer) == 2
            assert explanation in text
    assert text.endswith("Run this cell to answer.")


def test_where_somebody_can_answer_there_is_a_widget_and_a_still_with_what_is_marked(watched: Displayed) -> None:
    quiz = Quiz()
    still, _ = watched.show(quiz)
    assert "☑" not in still["text/markdown"]
    answer = QUESTIONS[3].answers[QUESTIONS[3].right][0]
    quiz.marked = [[QUESTIONS[3].right] if i == 3 else [] for i in range(len(QUESTIONS))]
    assert f"- ☑ {answer}" in watched.updates[-1]["text/markdown"]
    assert score(quiz.marked) in watched.updates[-1]["text/markdown"]
