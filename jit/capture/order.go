// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// ErrOrder says that an order was made by another version of tcsim.
var ErrOrder = errors.New("the order is of another version")

// order is what one process asks another to capture.
type order struct{ Scenarios []Scenario }

// PackOrder writes scenarios in submitted form, see Scenario.Order, for UnpackOrder in another process: a line that
// names the version, then Go's own encoding, as strings in it are bytes.
func PackOrder(scenarios []Scenario) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintln(&b, orderVersion())
	err := gob.NewEncoder(&b).Encode(order{scenarios})
	return b.Bytes(), err
}

// UnpackOrder is the inverse of PackOrder. It fails with ErrOrder if the writer's scenarios have other
// fields than ours or its captures another format.
func UnpackOrder(text []byte) ([]Scenario, error) {
	version, body, ok := bytes.Cut(text, []byte("\n"))
	if !ok || string(version) != orderVersion() {
		return nil, fmt.Errorf("%w: %.12q, ours is %.12q", ErrOrder, version, orderVersion())
	}
	var o order
	err := gob.NewDecoder(bytes.NewReader(body)).Decode(&o)
	return o.Scenarios, err
}

// orderVersion names the version of captures and every field that an order has.
func orderVersion() string {
	h := sha256.New()
	fmt.Fprintln(h, Format)
	describe(h, reflect.TypeFor[order](), map[reflect.Type]bool{})
	return fmt.Sprintf("%x", h.Sum(nil))
}

// describe writes the name, fields and elements of a type, each type once.
func describe(w io.Writer, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprintln(w, t, t.Kind())
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			fmt.Fprintln(w, t.Field(i).Name, t.Field(i).Tag)
			describe(w, t.Field(i).Type, seen)
		}
	case reflect.Array, reflect.Slice, reflect.Pointer:
		describe(w, t.Elem(), seen)
	case reflect.Map:
		describe(w, t.Key(), seen)
		describe(w, t.Elem(), seen)
	}
}
