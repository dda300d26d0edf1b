"""Where examples come from: a source is one string, whose scheme picks one file of `sources/`."""

from mi_coding.data import sources
from mi_coding.data.cuts import check_counts
from mi_coding.data.dataset import (
    Dataset,
    Listing,
    Split,
    blocks,
    describe_examples,
    dummy_examples,
    evenly_spaced,
    first_names,
    in_memory,
    names,
    num_examples,
    one_half,
    take,
)
from mi_coding.data.films.encoded import VideoOptions
from mi_coding.data.films.frames import FilmTable, FramePairs
from mi_coding.data.films.loading import sample_films
from mi_coding.data.images import ImageSpec, LazyImages, decode, pixels_of
from mi_coding.data.loading import (
    CHANNELS,
    MAX_IMAGE_SIZE,
    PLACEMENTS,
    ImageOptions,
    facts_of_splits,
    list_all,
    load,
)
from mi_coding.data.ordered import Ordered
from mi_coding.data.pieces import StreamSpec
from mi_coding.data.scaling import apply_scale, fit_scale, scaled_half
from mi_coding.data.sources import Source, open_source
from mi_coding.data.sources.base import LAYOUTS
from mi_coding.data.stream import Batch, Stream
from mi_coding.data.unreadable import check_readable
