"""Pictures: functions that take data and return a `Picture`, which a notebook shows and a screen reader reads."""

from .chunks import chunk_grid, cuts, program_grid
from .costs import block_ranks, chunk_cost, decoding_cost, growth, time_against_length
from .learning import (
    above_levels,
    accuracy_against,
    accuracy_by_place,
    against_control,
    copying_accuracy,
    differences,
    learning_curves,
)
from .matrices import (
    family_portrait,
    mask_times_gram,
    matrix_state_output,
    rank_map,
    sparse_and_dense,
    state_in_two_bases,
)
from .precision import error_growth, generator_range, random_feature_error, recall_error
from .published import after_a_cut, half_lives
from .scan import scan_rounds
from .states import Play, eigenvalues, mirrors, orbits, plateau_and_spike
from .timeline import timeline
from .vision import image_rows, locality, reading_orders, receptive_fields

__all__ = [
    "Play",
    "above_levels",
    "accuracy_against",
    "accuracy_by_place",
    "after_a_cut",
    "against_control",
    "block_ranks",
    "chunk_cost",
    "chunk_grid",
    "copying_accuracy",
    "cuts",
    "decoding_cost",
    "differences",
    "eigenvalues",
    "error_growth",
    "family_portrait",
    "generator_range",
    "growth",
    "half_lives",
    "image_rows",
    "learning_curves",
    "locality",
    "mask_times_gram",
    "matrix_state_output",
    "mirrors",
    "orbits",
    "plateau_and_spike",
    "program_grid",
    "random_feature_error",
    "rank_map",
    "reading_orders",
    "recall_error",
    "receptive_fields",
    "scan_rounds",
    "sparse_and_dense",
    "state_in_two_bases",
    "time_against_length",
    "timeline",
]
