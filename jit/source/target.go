// SPDX-License-Identifier: GPL-2.0-only

package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/tcsim/tcsim/jit"
	"github.com/tcsim/tcsim/jit/bpf"
	"github.com/tcsim/tcsim/jit/design"
	"github.com/tcsim/tcsim/jit/image"
	"github.com/tcsim/tcsim/jit/kernels"
	"github.com/tcsim/tcsim/jit/recognise"
	"github.com/tcsim/tcsim/jit/source/ktree"
	"github.com/tcsim/tcsim/jit/verify"
)

// Prefix begins the names of targets whose code the JIT of a kernel's source makes: "src:TREE",
// "src:TREE@REVISION", "src:FILE.c". Features of the kernel follow, each after a hyphen or, where the name
// of a folder ends like one, after a plus sign; then what a URL has after a question mark: version (of the
// kernel), base (the target that everything but code is taken from), config (a .config), extra (a C file, may be
// repeated) and cache=no.
const Prefix = "src"

// Spec is a name of a target in its parts.
type Spec struct {
	Tree     string // as for Open
	Features []string
	Version  ktree.Version // the zero value: as the tree says
	Base     string        // "": by the version
	Config   string        // a .config from elsewhere; "": that of the tree, if it has one
	Extra    []string
	NoCache  bool
}

// Name puts a name together, without the prefix.
func (s *Spec) Name() string {
	name := s.Tree
	for _, f := range s.Features {
		name += "+" + f
	}
	q := url.Values{}
	if s.Version != (ktree.Version{}) {
		q.Set("version", s.Version.String())
	}
	if s.Base != "" {
		q.Set("base", s.Base)
	}
	if s.Config != "" {
		q.Set("config", s.Config)
	}
	if s.NoCache {
		q.Set("cache", "no")
	}
	for _, e := range s.Extra {
		q.Add("extra", e)
	}
	if len(q) > 0 {
		name += "?" + q.Encode()
	}
	return name
}

// ParseSpec reads a name without the prefix. The tree need not exist.
func ParseSpec(name string) (*Spec, error) {
	tree, query, _ := strings.Cut(name, "?")
	s := &Spec{}
	if tree, words, plus := strings.Cut(tree, "+"); plus && knownFeatures(strings.Split(words, "+")) {
		s.Tree, s.Features = tree, strings.Split(words, "+")
	} else {
		s.Tree, s.Features = cutFeatures(name[:len(name)-len(query)])
		s.Tree = strings.TrimSuffix(s.Tree, "?")
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", query, err)
	}
	for key, values := range q {
		last := values[len(values)-1]
		switch key {
		case "version":
			if s.Version, err = ktree.ParseVersion(last); err != nil {
				return nil, err
			}
		case "base":
			s.Base = last
		case "config":
			s.Config = last
		case "extra":
			s.Extra = values
		case "cache":
			s.NoCache = last == "no"
		default:
			return nil, fmt.Errorf("unknown key %q after the question mark (known: version, base, config, extra, cache)", key)
		}
	}
	if s.Tree == "" {
		return nil, errors.New("no kernel source named: expected src:TREE, src:TREE@REVISION or src:FILE.c")
	}
	return s, nil
}

func knownFeatures(words []string) bool {
	known := jit.Features()
	return !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(known, w) })
}

// cutFeatures takes features off the end of a name, each after a hyphen, until what is left is there, or is a
// revision of what is there.
func cutFeatures(name string) (tree string, features []string) {
	tree = strings.TrimSuffix(name, "?")
	for {
		if exists(tree) {
			return tree, features
		}
		at := strings.LastIndexByte(tree, '-')
		if at < 0 || !knownFeatures([]string{tree[at+1:]}) {
			return tree, features
		}
		tree, features = tree[:at], slices.Insert(features, 0, tree[at+1:])
	}
}

// exists reports whether something is a folder or a file. Of revisions only those are taken as they are that
// do not end like a feature.
func exists(tree string) bool {
	_, err := os.Stat(tree)
	return err == nil
}

// Opener opens targets by name and keeps what it has compiled.
type Opener struct {
	Processor func() (Processor, error)
	Cache     string          // folder for compiled objects, "" for none
	Context   context.Context // of the process, nil if nothing ends it
	// Say is told, once each, what JITs print that does not stop them; nil drops it.
	Say func(string)

	saidMu sync.Mutex
	said   map[string]bool

	mu   sync.Mutex
	jits map[string]*JIT // by the key of the unit and the features
}

// Register makes the names of Prefix known to jit.TargetByName.
func Register(o *Opener) {
	registered = o
	jit.RegisterSource(Prefix, o.Open)
}

var registered *Opener

// Within has the registered opener end its compilers with ctx and tell say what JITs print. It must be called
// before targets are opened.
func Within(ctx context.Context, say func(string)) {
	if registered != nil {
		registered.Context, registered.Say = ctx, say
	}
}

// tell passes on what has not been said yet, and not without end.
func (o *Opener) tell(what string) {
	const most = 20
	o.saidMu.Lock()
	defer o.saidMu.Unlock()
	if o.Say == nil || o.said[what] || len(o.said) > most {
		return
	}
	if o.said == nil {
		o.said = map[string]bool{}
	}
	o.said[what] = true
	if len(o.said) > most {
		what = "what kernel sources print further is not shown"
	}
	o.Say(what)
}

// Open returns the target of a name without the prefix.
func (o *Opener) Open(name string) (*jit.Target, error) {
	s, err := ParseSpec(name)
	if err != nil {
		return nil, err
	}
	tree, err := ktree.Open(s.Tree)
	if err != nil {
		return nil, err
	}
	opts := Options{Processor: o.Processor, Version: s.Version, Cache: o.Cache}
	if s.NoCache {
		opts.Cache = ""
	}
	if opts.Version == (ktree.Version{}) {
		if opts.Version, err = ktree.TreeVersion(tree); err != nil {
			return nil, fmt.Errorf("%w; say it with --kernel-version, such as 6.12", err)
		}
	}
	for _, e := range s.Extra {
		text, err := ktree.ReadFile(e)
		if err != nil {
			return nil, fmt.Errorf("extra file %s: %v", e, err) // not %w: the tree is not at fault
		}
		opts.Extra = append(opts.Extra, Extra{e, text})
	}
	text, err := tree.ReadFile(ktree.JITFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tree.Shown(ktree.JITFile), err)
	}
	c, err := readConfig(tree, s.Config)
	if err != nil {
		return nil, err
	}
	t, err := configured(s, opts.Version, c)
	if err != nil {
		return nil, err
	}
	registry := *t
	opts.say = o.tell
	if opts.told, err = adapt(o.context(), tree, text, t, opts, c, s.Features); err != nil {
		return nil, err
	}
	t.Source = fmt.Sprintf("%s, Linux %s", tree.Shown(ktree.JITFile), opts.Version)
	t.Evidence = design.BySource
	j, err := o.jit(tree, t, opts)
	if err != nil {
		return nil, err
	}
	if is := captured(j.releases, &registry); is != "" && len(opts.Extra) == 0 && c == nil && !j.facts.unusual {
		j.twin = &twin{release: is, target: &registry}
	}
	j.original = originalOf(j, &registry, t, opts)
	t.Emitter = j
	j.settle(t)
	return t, nil
}

// context is what ends compilers before their time.
func (o *Opener) context() context.Context {
	if o.Context != nil {
		return o.Context
	}
	return context.Background()
}

// configured is base with what the configuration adds and does not leave out.
func configured(s *Spec, v ktree.Version, c *config) (*jit.Target, error) {
	if c == nil {
		return base(s, v)
	}
	if err := c.check(s.Features); err != nil {
		return nil, err
	}
	with := *s
	f := c.cfiFeature(s.Features)
	if f == "" {
		return base(s, v)
	}
	with.Features = append(slices.Clone(s.Features), f)
	t, err := base(&with, v)
	if err == nil {
		t.Note = strings.TrimPrefix(t.Note+fmt.Sprintf("\n%s sets CONFIG_CFI: taken for a kernel with %s", c.shown, f), "\n")
	}
	return t, err
}

// base is the target that everything but code is taken from: that of the release, or of the newest one for a
// kernel that is newer than what is known.
func base(s *Spec, v ktree.Version) (*jit.Target, error) {
	named := func(name string) (*jit.Target, error) {
		return jit.TargetByName(strings.Join(append([]string{name}, s.Features...), "-"))
	}
	if s.Base != "" {
		t, err := named(s.Base)
		if err == nil && t.Emitter != nil {
			return nil, fmt.Errorf("base %q is a kernel source itself", s.Base)
		}
		return t, err
	}
	t, err := named(v.String())
	if err == nil {
		t.Note = ""
		return t, nil
	}
	near, ok := kernels.Nearest(kernels.Version{Major: v.Major, Minor: v.Minor})
	if !ok || !errors.Is(err, jit.ErrNoTarget) {
		return nil, err
	}
	if t, err = named(near.Name()); err == nil {
		t.Note = fmt.Sprintf("Linux %s is not known: everything but the code is taken from %s", v, near.Name())
	}
	return t, err
}

// jit compiles, or takes what was compiled before.
func (o *Opener) jit(tree ktree.Tree, t *jit.Target, opts Options) (*JIT, error) {
	p, err := prepare(tree, t, opts)
	if err != nil {
		return nil, err
	}
	key := p.unit.key("") + " " + fmt.Sprintf("%+v", t.Emit)
	o.mu.Lock()
	defer o.mu.Unlock()
	if j := o.jits[key]; j != nil {
		return j, nil
	}
	j, err := p.build(o.context())
	if err != nil {
		return nil, err
	}
	other := opts
	other.told = nil // of another target nothing is known but what it says itself
	j.again = func(t *jit.Target) (*JIT, error) { return o.jit(tree, t, other) }
	if o.jits == nil {
		o.jits = map[string]*JIT{}
	}
	o.jits[key] = j
	return j, nil
}

// For implements jit.Emitter.
func (j *JIT) For(t *jit.Target) (jit.Emitter, error) {
	if reflect.DeepEqual(t.Emit, j.target.Emit) && t.Offsets == j.target.Offsets {
		return j, nil
	}
	if j.again == nil {
		return nil, errors.New("this JIT was compiled for one target")
	}
	return j.again(t)
}

// settle lets the target have the design that the JIT emits, as far as one is recognised. What goes wrong is for
// scenarios to say.
func (j *JIT) settle(t *jit.Target) {
	img, err := j.Compile(probe(t), t, &probeEnv{t.Symbols()})
	if err != nil {
		return
	}
	if d, err := recognise.RecogniseDesign(img); err == nil && d.Known() && !d.Designs.Has(t.Design) {
		t.Design = d.Designs.Designs()[0]
	}
}

// probe is a program that shows a design: it tail calls with a variable and, where the kernel knows such
// things, a constant key.
func probe(t *jit.Target) *verify.Verified {
	insns := []bpf.Insn{
		{Op: bpf.OpLdImm64, Dst: 2, Src: bpf.PseudoMap}, {},
		{Op: bpf.OpTailCall}, // indirect
		{Op: 0xb7},           // r0 = 0
		{Op: 0x95},           // exit
	}
	depth := max(t.Verifier.TailCallDepth, 8)
	return &verify.Verified{
		Program: &bpf.Program{Name: "probe", Type: bpf.SchedCLS}, Insns: insns,
		Funcs: []verify.FuncInfo{{Name: "probe", End: bpf.InsnIndex(len(insns)), StackDepth: depth, TailCallReachable: true}},
	}
}

// probeEnv has an address for everything that code can refer to.
type probeEnv struct{ symbols []string }

func (*probeEnv) Place(int, int, image.CodeOff) (image.Addr, error) { return 0xffffffffc0000000, nil }
func (*probeEnv) Helper(int32) (image.Addr, error)                  { return 0xffffffff81300000, nil }
func (*probeEnv) MapAddr(int) (image.Addr, error)                   { return 0xffff888104000000, nil }
func (*probeEnv) MapValue(int) (image.Addr, error)                  { return 0xffff888104000000, nil }
func (*probeEnv) PrivateStack(_ int, size int32) (image.Addr, error) {
	return 0x30000 + image.Addr(size), nil
}

func (e *probeEnv) Symbol(name string) (image.Addr, error) {
	i := slices.Index(e.symbols, name)
	switch {
	case i >= 0:
		return 0xffffffff81c00000 + image.Addr(i)*256, nil
	case name == perCPUOffset:
		return 0x19a18, nil
	}
	return 0, fmt.Errorf("no symbol %s", name)
}
