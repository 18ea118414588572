"""What Bokeh draws in the browser: the only module that knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from bokeh.embed import json_item
from bokeh.models import AdaptiveTicker, ColumnDataSource, FactorRange, LinearAxis, NumeralTickFormatter, Range1d
from bokeh.plotting import figure
from bokeh.resources import Resources

from runtime.journal.json_text import JSON

# The script of the page replaces these by the colours of text and lines in the light or the dark scheme.
TEXT_COLOUR: Final = "#010203"
LINE_COLOUR: Final = "#010204"

_HEIGHT: Final = 240
_SLOT_HEIGHT: Final = 12


def script() -> str:
    """Return the script that draws: Bokeh's, as it is distributed."""
    text: str = Resources(mode="inline", components=["bokeh"]).js_raw[0]
    return text


class Plot:
    """A plot without tools, which would mean nothing to a keyboard. Nothing in it is a log line or an id."""

    # `Any` throughout: the classes of Bokeh make their attributes when they are defined.

    def __init__(self, *, x: Any, y: Any, label: str, height: int = _HEIGHT) -> None:
        self._figure: Any = figure(
            height=height,
            sizing_mode="stretch_width",
            tools="",
            toolbar_location=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
            outline_line_color=None,
            x_range=x,
            y_range=y,
            y_axis_label=label,
        )
        for axis in self._figure.axis:
            _colour_axis(axis)
        for grid in self._figure.grid:
            grid.grid_line_color = LINE_COLOUR
        self._figure.xgrid.grid_line_color = None

    @classmethod
    def over_time(cls, end: float, most: float, label: str) -> Plot:
        """Return a plot over the seconds of a run.

        Args:
            end: of the run.
            most: the largest value.
            label: what the values are.
        """
        plot = cls(x=Range1d(start=0, end=end), y=_range(most), label=label)
        plot._use_time()
        return plot

    @classmethod
    def of_slots(cls, end: float, slots: int) -> Plot:
        """Return a plot over the seconds of a run with a row for each slot, the first at the top."""
        height = max(_HEIGHT, _SLOT_HEIGHT * slots + 60)
        plot = cls(x=Range1d(start=0, end=end), y=Range1d(start=slots + 0.5, end=0.5), label="slot", height=height)
        plot._use_time()
        plot._figure.ygrid.grid_line_color = None
        return plot

    @classmethod
    def of_names(cls, names: Sequence[str], most: float, label: str) -> Plot:
        """Return a plot with a place for each name."""
        plot = cls(x=FactorRange(factors=list(names)), y=_range(most), label=label)
        plot._figure.xaxis.major_label_orientation = 0.6
        return plot

    def add_second_axis(self, most: float, label: str) -> None:
        """Add an axis on the right, for `add_steps`."""
        self._figure.extra_y_ranges = {"second": _range(most)}
        axis = LinearAxis(y_range_name="second", axis_label=label)
        _colour_axis(axis)
        self._figure.add_layout(axis, "right")

    def add_steps(
        self, x: Sequence[float], y: Sequence[float], colour: str, label: str, *, is_second: bool = False
    ) -> None:
        """Add a line of values, each of which holds until the next one; with `is_second` on the second axis."""
        more = {"y_range_name": "second"} if is_second else {}
        self._figure.step(x=list(x), y=list(y), mode="after", line_width=2, color=colour, legend_label=label, **more)
        self._show_legend()

    def add_bars(
        self, rows: Sequence[int], starts: Sequence[float], ends: Sequence[float], colours: Sequence[str]
    ) -> None:
        """Add horizontal bars."""
        source = ColumnDataSource({"row": rows, "start": starts, "end": ends, "colour": colours})
        self._figure.hbar(
            y="row", left="start", right="end", height=0.8, fill_color="colour", line_color=None, source=source
        )

    def add_stacks(self, names: Sequence[str], columns: Mapping[str, Sequence[int]], colours: Sequence[str]) -> None:
        """Add a stack of bars for each name of the axis: a bar of each column."""
        self._figure.vbar_stack(
            list(columns),
            x="names",
            width=0.85,
            line_color=None,
            color=list(colours),
            source=ColumnDataSource({"names": names, **columns}),
            legend_label=list(columns),
        )
        self._show_legend()

    def as_json(self) -> JSON:
        """Return what Bokeh's script needs to draw it."""
        return cast("JSON", json_item(self._figure))

    def _use_time(self) -> None:
        """Show the x axis in hours, minutes and seconds."""
        self._figure.xaxis.ticker = AdaptiveTicker(base=60, mantissas=[1, 2, 5, 10, 15, 30])
        self._figure.xaxis.formatter = NumeralTickFormatter(format="00:00:00")

    def _show_legend(self) -> None:
        legend = self._figure.legend[0]
        legend.label_text_color = TEXT_COLOUR
        legend.background_fill_alpha = 0
        legend.border_line_color = None
        legend.orientation = "horizontal"
        if legend not in self._figure.above:
            self._figure.add_layout(legend, "above")


def _range(most: float) -> Range1d:
    return Range1d(start=0, end=1.05 * most or 1.0)


def _colour_axis(axis: Any) -> None:
    axis.axis_label_text_color = axis.major_label_text_color = TEXT_COLOUR
    axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = LINE_COLOUR
    axis.axis_label_text_font_style = "normal"
