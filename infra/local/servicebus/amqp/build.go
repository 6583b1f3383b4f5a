package amqp

// composite appends a described list. Trailing nulls stay: every reader accepts them.
func composite(b []byte, descriptor byte, count int, fill func([]byte) []byte) []byte {
	return appendCompound(append(b, codeDescribed, codeSmallUlong, descriptor), codeList32, count, fill)
}

func empty(b []byte, descriptor byte) []byte {
	return append(b, codeDescribed, codeSmallUlong, descriptor, codeList0)
}

func null(b []byte, n int) []byte {
	for range n {
		b = append(b, codeNull)
	}
	return b
}

func appendText0(b []byte, s string) []byte {
	if s == "" {
		return append(b, codeNull)
	}
	return AppendString(b, s)
}

func appendMap0(b []byte, m Map) []byte {
	if m == nil {
		return append(b, codeNull)
	}
	return AppendMap(b, m)
}

func appendUshort(b []byte, v uint16) []byte { return append(b, codeUshort, byte(v>>8), byte(v)) }

func (o *Open) append(b []byte) []byte {
	return composite(b, descOpen, 10, func(b []byte) []byte {
		b = appendText0(AppendString(b, o.ContainerID), o.Hostname)
		b = appendUshort(AppendUint(b, o.MaxFrameSize), o.ChannelMax)
		b = null(AppendUint(b, o.IdleTimeout), 4)
		return appendMap0(b, o.Properties)
	})
}

func (p *Begin) append(b []byte) []byte {
	return composite(b, descBegin, 5, func(b []byte) []byte {
		if p.RemoteChannel == nil {
			b = null(b, 1)
		} else {
			b = appendUshort(b, *p.RemoteChannel)
		}
		b = AppendUint(AppendUint(b, p.NextOutgoingID), p.IncomingWindow)
		return AppendUint(AppendUint(b, p.OutgoingWindow), p.HandleMax)
	})
}

func (a *Attach) append(b []byte) []byte {
	return composite(b, descAttach, 14, func(b []byte) []byte {
		b = AppendBool(AppendUint(AppendString(b, a.Name), a.Handle), a.Receiver)
		b = append(b, codeUbyte, a.SndSettleMode, codeUbyte, a.RcvSettleMode)
		b = a.Target.append(a.Source.append(b, descSource), descTarget)
		b = null(b, 2)
		if a.Receiver { // only a sender counts its deliveries
			b = null(b, 1)
		} else {
			b = AppendUint(b, a.InitialDeliveryCount)
		}
		b = null(AppendUlong(b, a.MaxMessageSize), 2)
		return appendMap0(b, a.Properties)
	})
}

func (t *Terminus) append(b []byte, descriptor byte) []byte {
	if t == nil {
		return null(b, 1)
	}
	count := 4
	if descriptor == descSource {
		count = 8
	}
	return composite(b, descriptor, count, func(b []byte) []byte {
		b = AppendUint(appendText0(b, t.Address), t.Durable)
		if t.ExpiryPolicy == "" {
			b = null(b, 1)
		} else {
			b = AppendSymbol(b, t.ExpiryPolicy)
		}
		b = AppendUint(b, t.Timeout)
		if descriptor == descSource {
			b = appendMap0(null(b, 3), t.Filter)
		}
		return b
	})
}

func appendOptional(b []byte, v *uint32) []byte {
	if v == nil {
		return append(b, codeNull)
	}
	return AppendUint(b, *v)
}

func (p *Flow) append(b []byte) []byte {
	return composite(b, descFlow, 10, func(b []byte) []byte {
		b = AppendUint(appendOptional(b, p.NextIncomingID), p.IncomingWindow)
		b = AppendUint(AppendUint(b, p.NextOutgoingID), p.OutgoingWindow)
		if b = appendOptional(b, p.Handle); p.Handle == nil {
			b = null(b, 2)
		} else {
			b = AppendUint(AppendUint(b, p.DeliveryCount), p.LinkCredit)
		}
		return AppendBool(AppendBool(null(b, 1), p.Drain), p.Echo)
	})
}

func (p *Transfer) append(b []byte) []byte {
	b = composite(b, descTransfer, 6, func(b []byte) []byte {
		b = AppendUint(b, p.Handle)
		if p.HasDeliveryID {
			b = AppendBinary(AppendUint(b, p.DeliveryID), p.DeliveryTag)
			b = AppendUint(b, p.MessageFormat)
		} else {
			b = null(b, 3)
		}
		return AppendBool(AppendBool(b, p.Settled), p.More)
	})
	return append(b, p.Payload...)
}

func (p *Disposition) append(b []byte) []byte {
	return composite(b, descDisposition, 5, func(b []byte) []byte {
		b = AppendUint(AppendUint(AppendBool(b, p.Receiver), p.First), p.Last)
		b = AppendBool(b, p.Settled)
		if p.State == nil {
			return null(b, 1)
		}
		return p.State.appendState(b)
	})
}

func (p *Detach) append(b []byte) []byte {
	return composite(b, descDetach, 3, func(b []byte) []byte {
		return p.Error.append(AppendBool(AppendUint(b, p.Handle), p.Closed))
	})
}

func (p *End) append(b []byte) []byte { return composite(b, descEnd, 1, p.Error.append) }

func (p *Close) append(b []byte) []byte { return composite(b, descClose, 1, p.Error.append) }

func (e *Error) append(b []byte) []byte {
	if e == nil {
		return null(b, 1)
	}
	return composite(b, descError, 3, func(b []byte) []byte {
		b = appendText0(AppendSymbol(b, e.Condition), e.Description)
		return appendMap0(b, e.Info)
	})
}

func (p *SASLMechanisms) append(b []byte) []byte {
	return composite(b, descSASLMechanisms, 1, func(b []byte) []byte {
		a := Array{Code: codeSym32}
		for _, m := range p.Mechanisms {
			a.Items = append(a.Items, m)
		}
		return AppendArray(b, a)
	})
}

func (p *SASLInit) append(b []byte) []byte {
	return composite(b, descSASLInit, 2, func(b []byte) []byte {
		return AppendBinary(AppendSymbol(b, Symbol(p.Mechanism)), p.Response)
	})
}

func (p *SASLOutcome) append(b []byte) []byte {
	return composite(b, descSASLOutcome, 1, func(b []byte) []byte { return append(b, codeUbyte, p.Code) })
}

func (Accepted) appendState(b []byte) []byte { return empty(b, descAccepted) }

func (Released) appendState(b []byte) []byte { return empty(b, descReleased) }

func (Received) appendState(b []byte) []byte { return empty(b, descReceived) }

func (s Rejected) appendState(b []byte) []byte { return composite(b, descRejected, 1, s.Error.append) }

func (s Modified) appendState(b []byte) []byte {
	return composite(b, descModified, 3, func(b []byte) []byte {
		return appendMap0(AppendBool(AppendBool(b, s.DeliveryFailed), s.UndeliverableHere), s.Annotations)
	})
}
