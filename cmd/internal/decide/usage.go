package decide

import "fmt"

// UsageError says that a command line, a host's name or a configuration cannot be understood: the exit status is 2.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e UsageError) Unwrap() error { return e.Err }

// Usage makes an error one of usage.
func Usage(err error) error { return UsageError{err} }

// Usagef is Usage of what fmt.Errorf makes.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }
