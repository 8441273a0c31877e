// SPDX-License-Identifier: GPL-2.0-only

package capture

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// ErrOrder says that an order was made by another version of tcsim.
var ErrOrder = errors.New("the order is of another version")

// order is what one process asks another to capture.
type order struct {
	Version   string
	Scenarios []Scenario
}

// PackOrder writes scenarios in submitted form, see Scenario.Order, for UnpackOrder in another process.
func PackOrder(scenarios []Scenario) ([]byte, error) {
	return json.Marshal(order{orderVersion(), scenarios})
}

// UnpackOrder is the inverse of PackOrder. It fails with ErrOrder if the writer's scenarios have other
// fields than ours or its captures another format.
func UnpackOrder(text []byte) ([]Scenario, error) {
	var version struct{ Version string }
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, err
	}
	if version.Version != orderVersion() {
		return nil, fmt.Errorf("%w: %.12q, ours is %.12q", ErrOrder, version.Version, orderVersion())
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	return o.Scenarios, nil
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
