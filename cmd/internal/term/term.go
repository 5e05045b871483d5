// Package term is how our programs speak to people: messages, tables, colours, progress, and what becomes of all that when
// nobody reads. It knows no command; those who have something to say come before it, standard output and error after it.
//
// A message never holds up work for long (Outlet), and text from outside never steers a terminal (Printable, NewLog).
package term
