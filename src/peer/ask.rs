//! One question by a process that need not be a member: for the list of members, or for admission.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::Connection;

use super::dial::{Dialled, Failure, dial, why};
use super::frames::{FrameReader, FrameWriter};
use super::greeting::{Kind, Purpose, answer, close, read_answer};
use super::port::{Serving, Shared};
use super::transport::{Caller, Rejection};
use super::tuning::{MAX_QUESTION, SERVICE_DEADLINE};
use crate::model::MemberId;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Nobody could be reached; the text has every URL with its reason.
    #[error("{0}")]
    Unreachable(String),
    /// A server was reached, and refused or was refused.
    #[error("{address}: {rejection}")]
    Rejected {
        /// Its address.
        address: String,
        /// The reason.
        rejection: Rejection,
    },
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

/// Asks at one URL after another until one answers. After a refusal the next URL is still tried, but the refusal is
/// what is reported at the end.
pub(super) async fn ask(
    shared: Arc<Shared>,
    urls: Vec<String>,
    question: Bytes,
    within: Duration,
) -> Result<(Caller, Bytes), AskError> {
    let mut refused = None;
    let mut unreachable = Vec::new();
    let all = async {
        for url in &urls {
            match one(&shared, url, question.clone()).await {
                Ok(answered) => return Some(answered),
                Err(Failure::Rejected(address, rejection)) => {
                    refused.get_or_insert(AskError::Rejected { address, rejection });
                }
                Err(Failure::Unreachable(text)) => unreachable.push(format!("{url}: {text}")),
            }
        }
        None
    };
    match tokio::time::timeout(within, all).await {
        Ok(Some(answered)) => Ok(answered),
        Ok(None) => Err(refused.unwrap_or_else(|| AskError::Unreachable(unreachable.join("; ")))),
        Err(_) => Err(refused.unwrap_or(AskError::Timeout)),
    }
}

async fn one(shared: &Arc<Shared>, url: &str, question: Bytes) -> Result<(Caller, Bytes), Failure> {
    let Dialled { connection, address, welcome, .. } =
        dial(shared, &[url.to_owned()], Purpose::Ask, MemberId(0)).await?;
    let answered = exchange(&connection, question).await;
    let result = match answered {
        Ok(frame) => {
            read_answer(frame).map_err(|rejection| Failure::Rejected(address.to_string(), rejection))
        }
        Err(text) => Err(match connection.close_reason() {
            Some(error) => why(address, &error),
            None => Failure::Unreachable(format!("{address}: {text}")),
        }),
    };
    close(&connection, &Rejection::Closed("the question is answered".into()));
    let caller = Caller { member: welcome.member, cluster: welcome.cluster, address: address.to_string() };
    result.map(|answer| (caller, answer))
}

async fn exchange(connection: &Connection, question: Bytes) -> Result<Bytes, String> {
    let (send, recv) = connection.open_bi().await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = (FrameReader::new(recv, MAX_QUESTION + 1), FrameWriter::new(send));
    writer.push_byte(Kind::Question as u8);
    writer.send(question).await.map_err(|error| error.to_string())?;
    reader.required().await.map_err(|error| error.to_string())
}

/// Answers a question.
pub(super) async fn serve(
    serving: &Serving,
    caller: &Caller,
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
) -> Result<(), Rejection> {
    let malformed = |error: &dyn std::fmt::Display| Rejection::Malformed(format!("question: {error}"));
    let question = reader.required().await.map_err(|error| malformed(&error))?;
    let answered = tokio::time::timeout(SERVICE_DEADLINE, serving.service.ask(caller, question)).await;
    let answered = answered.unwrap_or_else(|_| Err(Rejection::NotReady("no answer in time".into())));
    let (head, payload) = answer(answered);
    writer.push(&[head], payload);
    // The asking side may be gone.
    let _ = writer.flush().await;
    let _ = writer.stream().finish();
    Ok(())
}
