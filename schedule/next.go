package schedule

import "time"

// Next returns a function that gives the first time after another one at which spec, in the terms of ParseSpec, is
// due. It is the zero time if there is none, as always with "".
func Next(spec string) (func(after time.Time) time.Time, error) {
	if spec == "" {
		return func(time.Time) time.Time { return time.Time{} }, nil
	}
	times, err := parse(spec)
	if err != nil {
		return nil, err
	}
	return func(after time.Time) time.Time { return times.Next(after.UTC()) }, nil
}
