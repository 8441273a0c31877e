// SPDX-License-Identifier: GPL-2.0-only

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"strings"
)

// editor edits a file.
type editor struct {
	fset     *token.FileSet
	pkg      string
	name     string
	next     int
	function string
	found    []mutant
}

func (e *editor) file(path string) ([]byte, error) {
	f, err := parser.ParseFile(e.fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	e.name = f.Name.Name
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil && fn.Name.Name != "String" && fn.Name.Name != "Error" {
			e.function = fn.Name.Name
			e.block(fn.Body)
		}
	}
	f.Comments = nil // they would stand in wrong places
	var b bytes.Buffer
	err = printer.Fprint(&b, token.NewFileSet(), f)
	return b.Bytes(), err
}

func (e *editor) text(n ast.Node) string {
	var b bytes.Buffer
	printer.Fprint(&b, e.fset, n)
	s := strings.Join(strings.Fields(b.String()), " ")
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// add notes an edit and returns the condition under which it is made.
func (e *editor) add(at ast.Node, what string) ast.Expr {
	p := e.fset.Position(at.Pos())
	e.found = append(e.found, mutant{e.next, e.pkg, fmt.Sprintf("%s:%d:%d", p.Filename, p.Line, p.Column), e.function, what})
	c := &ast.BinaryExpr{X: ast.NewIdent("mutantID"), Op: token.EQL, Y: &ast.BasicLit{Kind: token.INT, Value: fmt.Sprint(e.next)}}
	e.next++
	return c
}

// block edits statements.
func (e *editor) block(b *ast.BlockStmt) {
	if b == nil {
		return
	}
	for i, s := range b.List {
		b.List[i] = e.stmt(s)
	}
}

func (e *editor) list(l []ast.Stmt) {
	for i, s := range l {
		l[i] = e.stmt(s)
	}
}

// leaves makes a statement one that an edit leaves out.
func (e *editor) leaves(s ast.Stmt) ast.Stmt {
	c := e.add(s, "without "+e.text(s)).(*ast.BinaryExpr)
	c.Op = token.NEQ
	return &ast.IfStmt{Cond: c, Body: &ast.BlockStmt{List: []ast.Stmt{s}}}
}

func (e *editor) stmt(s ast.Stmt) ast.Stmt {
	switch s := s.(type) {
	case *ast.ExprStmt:
		e.expr(&s.X)
		if c, ok := s.X.(*ast.CallExpr); ok {
			if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "panic" {
				return s
			}
		}
		return e.leaves(s)
	case *ast.IncDecStmt:
		return e.leaves(s)
	case *ast.AssignStmt:
		for i := range s.Rhs {
			e.expr(&s.Rhs[i])
		}
		if s.Tok != token.DEFINE {
			return e.leaves(s)
		}
	case *ast.BlockStmt:
		e.block(s)
	case *ast.IfStmt:
		e.cond(&s.Cond)
		e.block(s.Body)
		if s.Else != nil {
			s.Else = e.stmt(s.Else)
		}
	case *ast.ForStmt:
		if s.Cond != nil {
			e.expr(&s.Cond)
		}
		e.block(s.Body)
	case *ast.RangeStmt:
		e.block(s.Body)
	case *ast.SwitchStmt:
		for _, c := range s.Body.List {
			c := c.(*ast.CaseClause)
			for i := range c.List {
				if s.Tag == nil {
					e.cond(&c.List[i])
				}
			}
			e.list(c.Body)
		}
	case *ast.TypeSwitchStmt:
		for _, c := range s.Body.List {
			e.list(c.(*ast.CaseClause).Body)
		}
	case *ast.ReturnStmt:
		for i := range s.Results {
			e.expr(&s.Results[i])
		}
	}
	return s
}

// cond edits a condition: if it is no comparison, it is turned round.
func (e *editor) cond(x *ast.Expr) {
	switch (*x).(type) {
	case *ast.BinaryExpr, *ast.ParenExpr:
		e.expr(x)
	case *ast.UnaryExpr:
		u := (*x).(*ast.UnaryExpr)
		old := *x
		if u.Op == token.NOT {
			*x = e.either(old, u.X, e.text(old)+" -> "+e.text(u.X))
		}
	case *ast.Ident, *ast.CallExpr, *ast.SelectorExpr, *ast.IndexExpr:
		old := *x
		*x = e.either(old, &ast.UnaryExpr{Op: token.NOT, X: old}, e.text(old)+" -> !"+e.text(old))
	}
}

// either is an expression that an edit replaces by another one: func() bool { if edit { return b }; return a }().
func (e *editor) either(a, b ast.Expr, what string) ast.Expr {
	return e.choice(e.add(a, what), a, b)
}

func (e *editor) choice(c, a, b ast.Expr) ast.Expr {
	ret := func(x ast.Expr) ast.Stmt { return &ast.ReturnStmt{Results: []ast.Expr{x}} }
	return &ast.CallExpr{Fun: &ast.FuncLit{
		Type: &ast.FuncType{Params: &ast.FieldList{}, Results: &ast.FieldList{List: []*ast.Field{{Type: ast.NewIdent("bool")}}}},
		Body: &ast.BlockStmt{List: []ast.Stmt{&ast.IfStmt{Cond: c, Body: &ast.BlockStmt{List: []ast.Stmt{ret(b)}}}, ret(a)}},
	}}
}

var others = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR, token.EQL: token.NEQ, token.NEQ: token.EQL,
}

// expr edits comparisons and what joins them, wherever they are in an expression.
func (e *editor) expr(x *ast.Expr) {
	switch n := (*x).(type) {
	case *ast.ParenExpr:
		e.expr(&n.X)
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			e.expr(&n.X)
		}
	case *ast.CallExpr:
		for i := range n.Args {
			e.expr(&n.Args[i])
		}
		if f, ok := n.Fun.(*ast.FuncLit); ok {
			e.block(f.Body)
		}
	case *ast.FuncLit:
		e.block(n.Body)
	case *ast.BinaryExpr:
		e.binary(x, n)
	}
}

func (e *editor) binary(x *ast.Expr, n *ast.BinaryExpr) {
	if to, ok := others[n.Op]; ok {
		other := *n
		other.Op = to
		*x = e.either(n, &other, e.text(n)+" -> "+e.text(&other))
		return
	}
	if n.Op != token.LAND && n.Op != token.LOR {
		return
	}
	first, second := e.text(n.X), e.text(n.Y)
	whole := e.text(n)
	left, right := e.add(n, whole+" -> "+first), e.add(n, whole+" -> "+second)
	e.expr(&n.X)
	e.expr(&n.Y)
	*x = e.choice(left, e.choice(right, n, n.Y), n.X)
}
