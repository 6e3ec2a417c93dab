//! A committed stream: frames pass as they come, usage is read from a tee, and a cut is told as the dialect's error
//! event, never as a clean end.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use dialect::{
    Dialect, ErrorShape, Kind, Seen, StreamTranslator, Tee,
    sse::{Frame, Splitter},
};
use policy::{catalogue::Tokens, money::Usd, outcome::Failure, plan::TargetKey, reason::Reason};

use crate::{
    admit::Permit,
    attempt::Stream,
    cache::Assembly,
    clock,
    credentials::Secret,
    events::{EventError, Events, MAX_EVENT},
    exchange::{self, Exchange},
    idle::Idle,
    keepers::Keeper,
    respond::with_signal,
    telemetry::{decision::Status, metrics::Open},
};

/// What the head of the stream already said.
pub struct Told {
    /// Status of the answer.
    pub status: Status,
    /// Why, where it is degraded.
    pub reason: Option<Reason>,
    /// Who answers.
    pub key: TargetKey,
    /// From accept to first content.
    pub first_content: Duration,
}

/// The body of a streamed answer.
pub struct StreamReply {
    /// Taken when the stream has ended and been told.
    open: Option<(Box<Exchange>, Box<Permit>)>,
    told: Told,
    held: VecDeque<Frame>,
    events: Events,
    idle: Idle,
    /// The provider's format.
    dialect: Dialect,
    tee: Tee,
    writer: Writer,
    secret: Option<Arc<Secret>>,
    queue: VecDeque<Bytes>,
    /// The terminator, or an error event, has been written.
    over: bool,
    _open: Open,
}

impl StreamReply {
    /// From the first content on.
    pub(crate) fn new(mut x: Box<Exchange>, told: Told, stream: Stream) -> StreamReply {
        let Stream { held, content_due, events, permit, dialect, translator, usage_added, idle, secret, .. } = stream;
        let keeping = x.keeping.take().filter(|_| x.squeeze.is_none());
        let writer = Writer {
            assembly: keeping.map(|k| Box::new(Assembly::new(k, x.dialect))),
            keeps_items: x.keeps_items(),
            keeper: x.keeper(told.key.provider, dialect),
            caller: x.dialect,
            translator,
            hide_usage: usage_added,
            unsigned: told.status != Status::Ok,
            signs_cost: told.status != Status::Ok,
            waiting: None,
        };
        StreamReply {
            _open: x.state.telemetry.metrics.stream_open(),
            open: Some((x, permit)),
            told,
            held: held.into(),
            events,
            idle: Idle::new(idle).until_content(content_due),
            dialect,
            tee: Tee::new(dialect),
            writer,
            secret,
            queue: VecDeque::new(),
            over: false,
        }
    }

    /// The next bytes for the app.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            if let Some(frame) = self.held.pop_front() {
                self.take(frame);
                continue;
            }
            match self.events.poll_next(cx) {
                Poll::Ready(Some(Ok(frame))) if !self.over => {
                    self.idle.touch();
                    if let Some((_, permit)) = &mut self.open {
                        permit.received(frame.raw.len());
                    }
                    self.take(frame);
                }
                // What follows the terminator is read only so that the connection can be used again.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(_) if self.over => return Poll::Ready(None),
                Poll::Ready(None) => self.cut(Failure::Lost),
                Poll::Ready(Some(Err(EventError::Lost))) => self.cut(Failure::Lost),
                Poll::Ready(Some(Err(EventError::TooLarge))) => self.cut(Failure::NoAnswer),
                Poll::Pending if self.idle.poll_late(cx) => {
                    if self.over {
                        return Poll::Ready(None);
                    }
                    self.cut(Failure::Timeout);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Passes one frame on.
    fn take(&mut self, frame: Frame) {
        let frame = match &self.secret {
            Some(s) if s.is_in(&frame.raw) => Frame::parse(s.scrub(frame.raw)),
            _ => frame,
        };
        let seen = self.tee.frame(&frame);
        if seen == Seen::Malformed {
            return self.cut(Failure::NoAnswer);
        }
        let Some((x, permit)) = &mut self.open else { return };
        if self.idle.awaits_content()
            && matches!(dialect::classify(self.dialect, &frame).kind, Kind::Content | Kind::End)
        {
            self.idle.content();
            permit.first_content();
            self.told.first_content = clock::now().since(x.accepted);
        }
        let cost = || self.tee.usage().and_then(|u| permit.cost(&permit.tokens(u))).map(|c| c.to_string());
        let sign = Sign { x, told: &self.told, cost: &cost };
        if self.writer.write(frame, &sign, &mut self.queue).is_err() {
            return self.cut(Failure::NoAnswer);
        }
        match seen {
            Seen::End => {
                self.writer.flush(&sign, &mut self.queue);
                self.close(None);
            }
            // The provider's own error event has been passed on: the stream is over.
            Seen::Error => {
                let failure = Failure::Server { status: 500, retry_after: None };
                self.told.reason = Some(Reason::of(self.told.key.provider, failure.row().cause));
                self.close(Some(failure));
            }
            Seen::Malformed | Seen::Other => {}
        }
    }

    /// The stream broke after its first content: the app gets its dialect's error event.
    fn cut(&mut self, failure: Failure) {
        let row = failure.row();
        let reason = Reason::of(self.told.key.provider, row.cause);
        if let Some((x, _)) = &self.open {
            let cause = row.cause.row();
            let shape = ErrorShape {
                status: row.status,
                openai_type: cause.openai_type.into(),
                anthropic_type: cause.anthropic_type.into(),
                code: Some(x.reason_text(reason)),
                message: format!("llmroute: the answer broke after it had begun: {}", cause.message),
                param: None,
                request_id: Some(x.trace.id()),
            };
            self.writer.waiting = None;
            let translator = self.writer.translator.as_ref();
            let number = translator.map_or_else(|| self.tee.next_sequence(), StreamTranslator::next_sequence);
            self.queue.push_back(dialect::write_error_event(self.writer.caller, &shape, number));
        }
        self.told.reason = Some(reason);
        self.close(Some(failure));
    }

    /// Settles and tells, once.
    fn close(&mut self, failure: Option<Failure>) {
        self.over = true;
        let Some((x, permit)) = self.open.take() else { return };
        if let Some(assembly) = self.writer.assembly.take().filter(|_| failure.is_none()) {
            assembly.end(&x, &self.told.key, self.tee.usage());
        }
        let tokens = self.tee.usage().map(|u| permit.tokens(u));
        let cost = tokens.as_ref().and_then(|t| permit.cost(t));
        let status = if failure.is_some() { Status::Failed } else { self.told.status };
        match failure {
            None => permit.settle(tokens),
            Some(failure) => permit.fail(failure, tokens),
        }
        x.end(self.ending(status, tokens, cost, false));
    }

    fn ending(&self, status: Status, tokens: Option<Tokens>, cost: Option<Usd>, client_gone: bool) -> exchange::Told {
        exchange::Told {
            status,
            http: 200,
            reason: self.told.reason,
            served: Some(self.told.key.clone()),
            tokens,
            cost,
            first_content: Some(self.told.first_content),
            client_gone,
        }
    }
}

impl Drop for StreamReply {
    /// The app went away: the provider's connection closes with the body, the permit settles as cancelled.
    fn drop(&mut self) {
        if let Some((x, permit)) = self.open.take() {
            let tokens = self.tee.usage().map(|u| permit.tokens(u));
            drop(permit);
            x.end(self.ending(self.told.status, tokens, None, true));
        }
    }
}

/// What the degraded member needs.
struct Sign<'a> {
    x: &'a Exchange,
    told: &'a Told,
    cost: &'a dyn Fn() -> Option<String>,
}

/// Turns the provider's frames into the app's.
struct Writer {
    /// Puts the answer together, where it is to be kept.
    assembly: Option<Box<Assembly>>,
    /// The caller may name the items of the answer later.
    keeps_items: bool,
    /// Remembers what the answer leaves behind at its provider.
    keeper: Option<Keeper>,
    caller: Dialect,
    translator: Option<StreamTranslator>,
    /// The usage chunk was asked by us, not by the app.
    hide_usage: bool,
    /// The degraded member is still to be put on the first event.
    unsigned: bool,
    /// The cost is still to be put on the last event.
    signs_cost: bool,
    /// A chunk with the finish reason, kept until the cost is known.
    waiting: Option<Frame>,
}

/// The provider's stream cannot be translated further.
struct Broken;

impl Writer {
    fn write(&mut self, frame: Frame, sign: &Sign<'_>, out: &mut VecDeque<Bytes>) -> Result<(), Broken> {
        let Some(translator) = &mut self.translator else {
            if !(self.hide_usage && dialect::is_usage_chunk(&frame)) {
                self.assemble(&frame.raw);
                if let Some(keeper) = &self.keeper {
                    keeper.see(frame.data());
                }
                self.put(frame, sign, out);
            }
            return Ok(());
        };
        let bytes = translator.push(&frame).map_err(|_| Broken)?;
        self.assemble(&bytes);
        if self.keeps_items {
            sign.x.state.items.keep(dialect::items_of_events(&bytes));
        }
        if !self.unsigned && !self.signs_cost {
            if !bytes.is_empty() {
                out.push_back(bytes);
            }
            return Ok(());
        }
        let mut splitter = Splitter::new(MAX_EVENT);
        splitter.push(bytes);
        while let Ok(Some(frame)) = splitter.next_frame() {
            self.put(frame, sign, out);
        }
        Ok(())
    }

    fn assemble(&mut self, bytes: &Bytes) {
        if let Some(assembly) = &mut self.assembly {
            assembly.pass(bytes);
        }
    }

    /// One frame in the app's dialect, signed where it is the first or the last of a degraded answer.
    fn put(&mut self, frame: Frame, sign: &Sign<'_>, out: &mut VecDeque<Bytes>) {
        if !self.unsigned && !self.signs_cost {
            out.push_back(frame.raw);
            return;
        }
        let place = dialect::place_of(self.caller, &frame);
        if place.is_comment {
            // The terminator: what was kept back goes before it.
            if !frame.is_comment() {
                self.flush(sign, out);
            }
            out.push_back(frame.raw);
            return;
        }
        if let Some(waiting) = self.waiting.take() {
            if place.has_usage {
                out.push_back(waiting.raw);
            } else {
                out.push_back(self.signed(&waiting, sign, true));
            }
        }
        if place.has_finish && self.signs_cost && !place.has_usage {
            self.waiting = Some(frame);
            return;
        }
        let last = place.is_last && self.signs_cost;
        if self.unsigned || last {
            let bytes = self.signed(&frame, sign, last);
            out.push_back(bytes);
        } else {
            out.push_back(frame.raw);
        }
    }

    fn signed(&mut self, frame: &Frame, sign: &Sign<'_>, last: bool) -> Bytes {
        self.unsigned = false;
        let cost = if last { (sign.cost)() } else { None };
        self.signs_cost &= !last;
        let Told { status, reason, key, .. } = sign.told;
        with_signal(sign.x, *status, *reason, key, cost.as_deref(), |s| dialect::add_to_event(self.caller, frame, s))
    }

    /// What was kept back, at the end.
    fn flush(&mut self, sign: &Sign<'_>, out: &mut VecDeque<Bytes>) {
        if let Some(waiting) = self.waiting.take() {
            let bytes = self.signed(&waiting, sign, true);
            out.push_back(bytes);
        }
    }
}
