package main

import (
	"slices"
	"time"
)

// sample is what one run of a contestant took.
type sample struct {
	took   time.Duration // until all was done; on a disk, until all was written to it
	synced time.Duration // the part of it that went into writing to the disk, as far as that can be told
	cpu    time.Duration // what all processors spent for it
	peak   int64         // the largest resident memory of any of its processes, in bytes
	size   int64         // of what it made, in bytes, where that is what is measured
}

// median returns the middle of the values, or the mean of the two in the middle. There must be some.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// each takes one value of every sample.
func each(samples []sample, value func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return values
}

// ratios divides values that were measured in the same round, so that what else the machine did in it counts
// for both.
func ratios(ours, theirs []float64) []float64 {
	quotients := make([]float64, min(len(ours), len(theirs)))
	for i := range quotients {
		quotients[i] = ours[i] / theirs[i]
	}
	return quotients
}

func seconds(s sample) float64    { return s.took.Seconds() }
func cpuSeconds(s sample) float64 { return s.cpu.Seconds() }
func peakBytes(s sample) float64  { return float64(s.peak) }
func sizeBytes(s sample) float64  { return float64(s.size) }

// results are the samples of each contestant, by its name, one a round.
type results map[string][]sample
