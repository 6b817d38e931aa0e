// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"bufio"
	"errors"
	"maps"
	"net"
	"net/http"

	"github.com/portalsec/portalsec"
	"github.com/portalsec/portalsec/audit"
)

// errHeldBack is what a handler's Write returns when its response is not sent.
var errHeldBack = errors.New("rbac: the handler wrote before it checked its permission: its response is not sent")

// holdback is the response of a handler that declared [Access.Object]. Nothing of it goes out, not even a
// header, before the handler has checked or filtered by its permission.
type holdback struct {
	http.ResponseWriter
	r         *http.Request
	visit     *visit
	header    http.Header // as it was before the handler, or as it was sent in place of its response
	committed bool
	replaced  bool
}

// WriteHeader decides what becomes of the response. A handler may fail before it has checked, as when there is
// no such record: then its status goes out, with the standard answer for it.
func (h *holdback) WriteHeader(status int) {
	proof := h.visit.proof.Load()
	if h.committed {
		if !h.replaced {
			h.ResponseWriter.WriteHeader(status)
		}
		return
	}
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if proof == proven { // informational: the real one follows
			h.ResponseWriter.WriteHeader(status)
		}
		return
	}
	h.committed = true
	switch {
	case proof == proven, proof == refused && status >= 300:
		h.ResponseWriter.WriteHeader(status)
	case proof == unchecked && status >= 400:
		d := portalsec.Denial{Status: status}
		if status == http.StatusNotFound {
			d.Code = "not-found"
		}
		h.replace(d)
	default:
		h.refuse(proof)
	}
}

// Write sends a part of the body.
func (h *holdback) Write(b []byte) (int, error) {
	if !h.committed {
		h.WriteHeader(http.StatusOK)
	}
	if h.replaced {
		return 0, errHeldBack
	}
	return h.ResponseWriter.Write(b)
}

// FlushError sends what was written so far. It is found by http.ResponseController.
func (h *holdback) FlushError() error {
	if !h.committed {
		h.WriteHeader(http.StatusOK)
	}
	if h.replaced {
		return errHeldBack
	}
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Hijack hands the connection to a handler that has checked. It is found by http.ResponseController.
func (h *holdback) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !h.committed && h.visit.proof.Load() != proven {
		h.committed = true
		h.refuse(h.visit.proof.Load())
	}
	if h.replaced {
		return nil, nil, errHeldBack
	}
	h.committed = true
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController set deadlines on the writer below.
func (h *holdback) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// finish is called when the handler has returned. One that wrote nothing answers 200 with its headers.
func (h *holdback) finish() {
	if !h.committed && h.visit.proof.Load() != proven {
		h.WriteHeader(http.StatusOK)
	}
	if h.replaced {
		h.restore() // what a handler sets after its response is sent as trailers
	}
}

// abandon is called when the handler panicked: whoever answers then must not send its headers.
func (h *holdback) abandon() {
	if !h.committed || h.replaced {
		h.restore()
	}
}

// refuse sends 500 in place of the response and records why.
func (h *holdback) refuse(proof int32) {
	event := audit.ForRequest(h.r, audit.RBACDecision, audit.Error)
	event.Severity, event.Reason, event.Status = audit.Critical, "unchecked", http.StatusInternalServerError
	if proof == refused {
		event.Reason = "refusal-ignored"
	}
	event.Details = []audit.Detail{{Name: "permission", Value: h.visit.object.name}}
	_ = h.visit.engine.audit.Record(h.r.Context(), event)
	h.replace(portalsec.Denial{Status: http.StatusInternalServerError, Code: "internal-error"})
}

func (h *holdback) replace(d portalsec.Denial) {
	h.replaced = true
	h.restore()
	h.visit.engine.deny(h.ResponseWriter, h.r, d)
	h.header = h.ResponseWriter.Header().Clone()
}

func (h *holdback) restore() {
	now := h.ResponseWriter.Header()
	clear(now)
	maps.Copy(now, h.header)
}
