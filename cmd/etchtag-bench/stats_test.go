package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
		{[]float64{1, 1, 1, 100}, 1},
	} {
		before := append([]float64{}, c.values...)
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, not %v", c.values, got, c.want)
		}
		if diff := cmp.Diff(before, c.values); diff != "" {
			t.Errorf("median changed the order of the rounds: %s", diff)
		}
	}
}

func TestHalfOfTheValuesAreOnEachSideOfTheMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 50).Draw(t, "values")
		m := median(values)
		below, above := 0, 0
		for _, v := range values {
			if v < m {
				below++
			}
			if v > m {
				above++
			}
		}
		if 2*below > len(values) || 2*above > len(values) {
			t.Fatalf("median %v of %v: %d are below and %d above", m, values, below, above)
		}
	})
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := ratios([]float64{1, 20, 3}, []float64{2, 40, 2})
	if diff := cmp.Diff([]float64{0.5, 0.5, 1.5}, got); diff != "" {
		t.Error(diff)
	}
}

func TestGrowthIsThatOfTheCostOfOneFile(t *testing.T) {
	f := growthRow("growth", 1.1).measure(results{
		us + " small": timed(1), us + " large": timed(20),
		archive + " small": timed(2), archive + " large": timed(10),
	})
	if f.ours.value != 2 || f.theirs.value != 0.5 || f.ratio != 4 {
		t.Errorf("%+v", f)
	}
}

func TestTheRatioOfARowIsNotThatOfItsMedians(t *testing.T) {
	f := timeRow("x", archive, 1).measure(results{us: timed(1, 4, 6), archive: timed(2, 1, 3)})
	if f.ours.value != 4 || f.theirs.value != 2 || f.ratio != 2 {
		t.Errorf("%+v", f)
	}
	f = timeRow("x", archive, 1).measure(results{us: timed(1, 2, 30), archive: timed(10, 4, 3)})
	if f.ours.value != 2 || f.theirs.value != 4 || f.ratio != 0.5 {
		t.Errorf("%+v", f)
	}
	f = timeRow("x", archive, 1).measure(results{us: timed(1, 2, 3), archive: timed(3, 1, 2)})
	if f.ours.value != 2 || f.theirs.value != 2 || f.ratio != 1.5 {
		t.Errorf("%+v", f)
	}
}

func TestPeaksAreMaxima(t *testing.T) {
	f := peakRow("x", archive, 5).measure(results{us: {{peak: 4}, {peak: 9}, {peak: 1}}, archive: {{peak: 3}}})
	if f.ours.value != 9 || f.theirs.value != 3 || f.reached() != 9 {
		t.Errorf("%+v", f)
	}
}
