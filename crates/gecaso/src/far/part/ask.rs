//! The epoch of a part, asked for and told: at the first call, behind callers' backs, and when a
//! new one begins.
//!
//! Called by `part` and `tier`. The rules are in `epoch`.

use super::{Part, State};
use crate::codec::envelope::{self, Header};
use crate::error::Error;
use crate::far::epoch::Ask;
use crate::far::erased::Operation;
use crate::far::object::{Budget, Failure, Mode};
use crate::far::pens::Write;
use crate::far::writing::Duty;
use crate::params::Params;
use crate::receipt::Heard;
use crate::reentry::{self, Chain};
use crate::runner;
use crate::signal::Signal;
use crate::sync;
use crate::time::{NEVER, Stamp};
use std::sync::Arc;

impl Part {
    /// Queues the record of the epoch.
    pub(super) fn queue_record(
        self: &Arc<Self>,
        state: &mut State,
        heard: Option<Heard>,
    ) -> Option<Duty> {
        let value = state.epoch.value();
        let header = Header {
            fingerprint: self.identity.fingerprint,
            epoch: value,
            begun: value,
            expires: NEVER,
            load_took: 0,
            key: &self.identity.encoded,
        };
        let record = envelope::seal(&header, &Params::new(), &(), self.object.limits());
        let record = record.expect("a unit fits into an envelope");
        let write = Write::Set(record.into(), self.params.clone(), value);
        let is_ours = state.pens.queue(&self.epoch_key, write, None, heard);
        let limit = self.object.deadline();
        is_ours.then(|| Duty::new(self.clone(), self.epoch_key.clone(), limit))
    }

    /// What a stored record says.
    fn read_record(&self, bytes: &[u8]) -> Option<Stamp> {
        let opened = envelope::open(bytes, self.object.limits()).ok()?;
        let Header { fingerprint, epoch, key, .. } = opened.header();
        (fingerprint == self.identity.fingerprint && key == self.identity.encoded).then_some(epoch)
    }

    /// Sees to it that the epoch is known: asks the storage now if it never did, and behind the
    /// caller's back if that was long ago. Counts why it is not known.
    pub(in crate::far) async fn learn_epoch(
        self: &Arc<Self>,
        chain: &Option<Chain>,
        mode: Mode,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        let ask = sync::lock(&self.state).epoch.ask(self.object.clock().now());
        match ask {
            Ask::No => Ok(()),
            Ask::First => {
                let asked = self.ask_epoch(chain.clone(), mode, budget).await;
                asked.inspect_err(|failure| self.count_failure(failure))
            }
            Ask::Behind => {
                let part = self.clone();
                runner::spawn(Box::pin(async move { drop(part.ask_behind().await) }));
                Ok(())
            }
        }
    }

    /// Asks where no caller waits.
    async fn ask_behind(self: &Arc<Self>) -> Result<(), Failure> {
        let mut budget = Budget::new(self.object.deadline());
        let asked = self.ask_epoch(None, Mode::Here, &mut budget).await;
        asked.inspect_err(|_| sync::lock(&self.state).epoch.asked_in_vain())
    }

    /// Asks for the epoch in the background, if it is not known: what was put in before it is known
    /// counts elsewhere only if the storage has a record. Says when that is written.
    pub(in crate::far) fn learn_behind(self: &Arc<Self>) -> Option<Heard> {
        let asks = sync::lock(&self.state).epoch.ask_ahead();
        asks.then(|| {
            let heard: Heard = Arc::new(Signal::new());
            let (part, said) = (self.clone(), heard.clone());
            let learn = async move {
                let outcome = part.ask_behind().await.map_err(|failure| part.unread(&failure));
                let (record, owes) = {
                    let mut state = sync::lock(&part.state);
                    (state.pens.heed(&part.epoch_key), state.epoch.owes())
                };
                match (outcome, record) {
                    (Ok(()), Some(record)) => said.say(record.heard().await),
                    (Ok(()), None) if owes => {
                        let name = &part.identity.name;
                        let text =
                            format!("the storage of `{name}` has no record of its epoch yet");
                        said.say(Err(Error::new(text)));
                    }
                    (outcome, _) => said.say(outcome),
                }
            };
            runner::detach(Box::pin(learn));
            heard
        })
    }

    async fn ask_epoch(
        self: &Arc<Self>,
        chain: Option<Chain>,
        mode: Mode,
        budget: &mut Budget,
    ) -> Result<(), Failure> {
        let get = Operation::new(self.object.storage().get(self.epoch_key.clone()), chain.clone());
        let read = self.object.read(get, mode, budget).await?;
        let said = read.and_then(|bytes| self.read_record(&bytes));
        let (now, stamp) = (self.object.clock().now(), self.object.clock().stamp());
        let duty = {
            let mut state = sync::lock(&self.state);
            let owes = state.epoch.learn(said, self.opened, now, stamp);
            self.object.clock().meet(state.epoch.value());
            if owes { self.queue_record(&mut state, None) } else { None }
        };
        // Written in the background, but begun here: that cannot wait for this flight, either.
        let _inside = chain.map(reentry::enter);
        drop(duty);
        Ok(())
    }
}
