package main

import (
	"context"
	"fmt"
	"slices"
)

// contest measures the figures of one or more rows.
type contest struct {
	needs []string // tools without which nothing of it can be measured
	rows  []row
	run   func(ctx context.Context, b *bench, dir string) (results, error)
}

// row is one line of the table.
type row struct {
	what    string
	against string
	needs   []string // tools that only this row needs
	atMost  float64  // the target, a ratio or as many units as ours has; 0 if the row is for information only
	measure func(results) figure
}

// figure is what was measured for a row.
type figure struct {
	ours, theirs quantity
	ratio        float64    // 0 if there is nobody to compare with
	cpu          float64    // the same ratio of what the processors spent; 0 if that is not known
	synced       [2]float64 // the seconds, of ours and theirs, that went into writing to the disk
}

// reached is what the target is compared with.
func (f figure) reached() float64 {
	if f.ratio > 0 {
		return f.ratio
	}
	return f.ours.value
}

// line is a row with its figure, or with the reason why there is none.
type line struct {
	row
	figure
	skipped string
}

// unit is how a quantity is written.
type unit int

const (
	noUnit unit = iota
	secondsUnit
	bytesUnit
)

type quantity struct {
	value float64
	unit  unit
}

// String writes three digits or so, and nothing for no quantity.
func (q quantity) String() string {
	switch {
	case q.unit == secondsUnit && q.value < 0.0995:
		return fmt.Sprintf("%.2f ms", q.value*1e3)
	case q.unit == secondsUnit:
		return fmt.Sprintf("%.3f s", q.value)
	case q.unit == bytesUnit && q.value < 1e6:
		return fmt.Sprintf("%.1f kB", q.value/1e3)
	case q.unit == bytesUnit:
		return fmt.Sprintf("%.1f MB", q.value/1e6)
	case q.value == 0:
		return ""
	}
	return fmt.Sprintf("%.3f", q.value)
}

// us is the name of our contestant wherever there is only one.
const us = "etchtag"

// timeRow compares how long we take with how long a peer takes.
func timeRow(what, peer string, atMost float64, needs ...string) row {
	return timesRow(what, us, peer, atMost, needs...)
}

// timesRow compares the times of two contestants.
func timesRow(what, ours, peer string, atMost float64, needs ...string) row {
	return row{what: what, against: peer, needs: needs, atMost: atMost, measure: func(r results) figure {
		a, b := each(r[ours], seconds), each(r[peer], seconds)
		synced := func(s sample) float64 { return s.synced.Seconds() }
		f := figure{ours: quantity{median(a), secondsUnit}, theirs: quantity{median(b), secondsUnit},
			ratio:  median(ratios(a, b)),
			synced: [2]float64{median(each(r[ours], synced)), median(each(r[peer], synced))}}
		if spent := each(r[peer], cpuSeconds); slices.Min(spent) > 0 {
			f.cpu = median(ratios(each(r[ours], cpuSeconds), spent))
		}
		return f
	}}
}

// peakRow holds our largest peak of memory, in bytes, of all rounds.
func peakRow(what, peer string, atMost float64) row {
	return row{what: "peak memory, " + what, against: peer, atMost: atMost, measure: func(r results) figure {
		f := figure{ours: quantity{slices.Max(each(r[us], peakBytes)), bytesUnit}}
		if peer != "" {
			f.theirs = quantity{slices.Max(each(r[peer], peakBytes)), bytesUnit}
		}
		return f
	}}
}

// sizeRow compares sizes on disk.
func sizeRow(what, ours, peer string, atMost float64) row {
	return row{what: what, against: peer, atMost: atMost, measure: func(r results) figure {
		a, b := each(r[ours], sizeBytes), each(r[peer], sizeBytes)
		return figure{ours: quantity{median(a), bytesUnit}, theirs: quantity{median(b), bytesUnit},
			ratio: median(ratios(a, b))}
	}}
}
