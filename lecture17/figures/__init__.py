"""Pictures: functions that take data and return a `Picture`, which a notebook shows and a screen reader reads."""

from .chunks import chunk_cost, chunk_grid
from .control import above_levels, against_control
from .cost import decoding_cost, time_against_length
from .eigenvalues import eigenvalues
from .features import random_feature_error
from .growth import growth
from .handwriting import image_rows
from .inverse import sparse_and_dense
from .language import learning_curves
from .learned import accuracy_by_place, copying_accuracy
from .locality import locality
from .matrices import mask_times_gram, matrix_state_output, state_in_two_bases
from .mirrors import mirrors
from .orbits import orbits
from .portrait import family_portrait
from .precision import error_growth, generator_range
from .programs import program_grid
from .rank_map import rank_map
from .ranks import block_ranks
from .recall import recall_error
from .receptive import receptive_fields
from .routes import reading_orders
from .timeline import timeline
from .tour import Play, plateau_and_spike

__all__ = [
    "Play",
    "above_levels",
    "accuracy_by_place",
    "against_control",
    "block_ranks",
    "chunk_cost",
    "chunk_grid",
    "copying_accuracy",
    "decoding_cost",
    "eigenvalues",
    "error_growth",
    "family_portrait",
    "generator_range",
    "growth",
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
    "sparse_and_dense",
    "state_in_two_bases",
    "time_against_length",
    "timeline",
]
