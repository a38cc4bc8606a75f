//! How a member with an empty data directory enters a cluster that may exist already.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::bootstrap::{InitialMember, Plan};
use super::existing::{self, ExistingError};
use super::identity::Identity;
use super::questions::{Answer, Candidate, Question, QuestionError, Roll, decode, encode};
use crate::model::{Member, MemberId, Version};
use crate::peer::{Names, Pending};

/// How long one member may take for its answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the other initial members have to report that their cluster is already running (etcd: one second).
const ALREADY: Duration = Duration::from_secs(1);
/// How long to look for members of an existing cluster.
const SEARCH: Duration = Duration::from_secs(10);
/// Pause between two rounds.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// Reaches members by their peer URLs. The asking side need not be a member.
pub trait Asker: Send + Sync {
    /// Asks whoever answers at the first of `urls` that works.
    fn ask(&self, urls: Vec<String>, question: Bytes, timeout: Duration) -> Pending<Result<Bytes, NoAnswer>>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// No process was reached.
    #[error("{0}")]
    Nobody(String),
    /// A process was reached, but it does not answer now.
    #[error("{0}")]
    NotNow(String),
    /// The process reached has neither this member's secret nor its certificate authority: asking again does not help.
    #[error("{0}")]
    Stranger(String),
}

/// Why this member cannot enter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The others say that this member is running, or has run before.
    #[error("member {id} has already been bootstrapped: {more}")]
    AlreadyBootstrapped {
        /// The member.
        id: MemberId,
        /// How to get it back.
        more: String,
    },
    /// See [`ExistingError`].
    #[error(transparent)]
    Existing(#[from] ExistingError),
    /// The cluster refuses this member.
    #[error("the cluster does not let this member join: {0}")]
    Refused(String),
    /// The program does not fit the cluster's version.
    #[error("{0}")]
    Version(String),
    /// The members that were reached do not share this member's secret or certificate authority.
    #[error("the cluster cannot be entered with this member's cluster secret (or certificates): {0}")]
    Stranger(String),
    /// No member admitted it within `join.timeout`.
    #[error("could not join within {0:?}: {1}")]
    Late(Duration, String),
    /// A message that cannot be read.
    #[error(transparent)]
    Question(#[from] QuestionError),
}

impl EntryError {
    fn misfit(own: Version, cluster: Version) -> Self {
        Self::Version(own.misfit(cluster).unwrap_or_default())
    }
}

/// A member of a new cluster with an empty data directory asks the other initial members whether their cluster is
/// already running and knows this member: then its data were lost, and it must not begin anew with its old id. Members
/// that do not answer have not started yet. Members that do not share its secret cannot be asked: if no other is reached
/// for a while, this one does not begin, since it may be known to them.
///
/// # Errors
/// [`EntryError::AlreadyBootstrapped`], [`EntryError::Stranger`].
pub async fn refuse_second_start(asker: &dyn Asker, plan: &Plan) -> Result<(), EntryError> {
    let question = encode(&Question::Roll(None))?;
    let others: Vec<&Member> =
        plan.members.iter().filter(|member| member.id != plan.identity.member).collect();
    let begun = Instant::now();
    loop {
        let asked =
            others.iter().map(|member| asker.ask(member.peer_urls.clone(), question.clone(), ALREADY));
        let mut reasons = Vec::new();
        let mut met = Met::default();
        for answer in futures_util::future::join_all(asked).await {
            match read(answer) {
                Ok(Answer::Roll(roll)) => {
                    met.kin = true;
                    refuse_known(&roll, plan)?;
                }
                Ok(_) => met.kin = true,
                Err(error) => {
                    met.note(&error);
                    reasons.push(error.to_string());
                }
            }
        }
        let strangers = met.refuse_strangers(reasons.iter());
        // The others may be starting at this moment.
        if strangers.is_ok() || !met.absent || begun.elapsed() > SEARCH {
            return strangers;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Refuses a roll of the planned cluster in which this member has been running.
fn refuse_known(roll: &Roll, plan: &Plan) -> Result<(), EntryError> {
    let own = roll.members.iter().find(|member| member.id == plan.identity.member);
    match own.filter(|_| roll.cluster == plan.identity.cluster) {
        Some(own) => existing::refuse_wiped(own)
            .map_err(|wiped| EntryError::AlreadyBootstrapped { id: own.id, more: wiped.to_string() }),
        None => Ok(()),
    }
}

/// The identity of a member that was added before, by the answers of the members in `initial-cluster` (etcd
/// `--initial-cluster-state existing`). `token` is the `initial-cluster-token`, if it was given, and `version` that of its
/// program.
///
/// # Errors
/// [`EntryError::Existing`], [`EntryError::Stranger`], [`EntryError::Refused`], [`EntryError::Version`].
pub async fn existing(
    asker: &dyn Asker,
    names: &Names,
    (name, token, version): (&str, Option<String>, Version),
    initial: &[InitialMember],
) -> Result<Identity, EntryError> {
    let question = encode(&Question::Roll(token))?;
    let others: Vec<&InitialMember> = initial.iter().filter(|member| member.name != name).collect();
    let begun = Instant::now();
    loop {
        let mut reasons = BTreeSet::new();
        let mut met = Met::default();
        for other in &others {
            match ask(asker, other.peer_urls.clone(), question.clone()).await {
                Ok(Answer::Roll(roll)) => {
                    if let Some(cluster) = roll.version.filter(|cluster| !version.fits(*cluster)) {
                        return Err(EntryError::misfit(version, cluster));
                    }
                    let ours = initial.iter().flat_map(|member| &member.peer_urls);
                    let theirs = roll.members.iter().flat_map(|member| &member.peer_urls);
                    let places = Places::find(names, ours.chain(theirs)).await;
                    let same = |ours: &[String], theirs: &[String]| places.are_same(ours, theirs);
                    return Ok(existing::identify(name, initial, &roll, same)?);
                }
                Ok(Answer::Refused(why)) => return Err(EntryError::Refused(why)),
                Ok(other) => {
                    met.kin = true;
                    reasons.insert(reason(&other));
                }
                Err(error) => {
                    met.note(&error);
                    reasons.insert(error.to_string());
                }
            }
        }
        met.refuse_strangers(reasons.iter())?;
        if others.is_empty() || begun.elapsed() > SEARCH {
            let reasons: Vec<String> = reasons.into_iter().collect();
            let silence = ExistingError::NoAnswer(reasons.join("; "));
            return Err(if initial.iter().any(|member| member.name == name) {
                silence.into()
            } else {
                ExistingError::LocalNameMissing { name: name.into(), more: silence.to_string() }.into()
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks the cluster to add this member, or to confirm that it was added before, and returns its identity. Asks `peers`
/// in turn until one can do it; zero `patience` means for ever. `tell` is called with every peer's reason each time one
/// of them changes.
///
/// # Errors
/// [`EntryError::Refused`], [`EntryError::Stranger`], [`EntryError::Late`].
pub async fn join(
    asker: &dyn Asker,
    candidate: &Candidate,
    peers: &[String],
    patience: Duration,
    tell: impl Fn(&str),
) -> Result<(Identity, Roll), EntryError> {
    let question = encode(&Question::Join(candidate.clone()))?;
    let begun = Instant::now();
    let mut told = String::new();
    loop {
        let mut reasons = Vec::new();
        let mut met = Met::default();
        for peer in peers {
            match ask(asker, vec![peer.clone()], question.clone()).await {
                Ok(Answer::Joined(roll, member)) => {
                    return Ok((Identity { member, cluster: roll.cluster, epoch: roll.epoch }, roll));
                }
                Ok(Answer::Refused(why)) => return Err(EntryError::Refused(why)),
                Ok(Answer::Misfit(cluster)) if !candidate.version.fits(cluster) => {
                    return Err(EntryError::misfit(candidate.version, cluster));
                }
                Ok(other) => {
                    met.kin = true;
                    reasons.push(format!("{peer}: {}", reason(&other)));
                }
                Err(error) => {
                    met.note(&error);
                    let error = error.to_string();
                    // If a member was not reached, the error already names each of its URLs.
                    let named = error.starts_with(peer.as_str());
                    reasons.push(if named { error } else { format!("{peer}: {error}") });
                }
            }
        }
        met.refuse_strangers(reasons.iter())?;
        let hindrance = reasons.join("; ");
        if hindrance != told {
            tell(&hindrance);
            told = hindrance;
        }
        if !patience.is_zero() && begun.elapsed() > patience {
            return Err(EntryError::Late(patience, told));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn ask(asker: &dyn Asker, urls: Vec<String>, question: Bytes) -> Result<Answer, NoAnswer> {
    read(asker.ask(urls, question, ANSWER).await)
}

fn read(answer: Result<Bytes, NoAnswer>) -> Result<Answer, NoAnswer> {
    decode(&answer?).map_err(|error| NoAnswer::NotNow(error.to_string()))
}

/// The kinds of members that a round of questions has reached.
#[derive(Default)]
struct Met {
    /// A member of the cluster, which may answer later.
    kin: bool,
    stranger: bool,
    /// A member that was not reached.
    absent: bool,
}

impl Met {
    fn note(&mut self, error: &NoAnswer) {
        match error {
            NoAnswer::Nobody(_) => self.absent = true,
            NoAnswer::NotNow(_) => self.kin = true,
            NoAnswer::Stranger(_) => self.stranger = true,
        }
    }

    /// Waiting for members that are not reachable is useless if the reachable ones do not share the secret.
    fn refuse_strangers<'r>(&self, reasons: impl Iterator<Item = &'r String>) -> Result<(), EntryError> {
        if self.stranger && !self.kin {
            let reasons: Vec<&str> = reasons.map(String::as_str).collect();
            return Err(EntryError::Stranger(reasons.join("; ")));
        }
        Ok(())
    }
}

fn reason(answer: &Answer) -> String {
    match answer {
        Answer::Later(why) | Answer::Refused(why) => why.clone(),
        Answer::Roll(_) | Answer::Joined(..) | Answer::Misfit(_) => {
            "an answer to another question".to_string()
        }
    }
}

/// The addresses of URLs, as far as they are known.
#[derive(Default)]
pub struct Places(BTreeMap<String, BTreeSet<SocketAddr>>);

impl Places {
    /// Looks up the names in all these URLs.
    pub async fn find(names: &Names, urls: impl IntoIterator<Item = &String>) -> Self {
        let places: BTreeSet<&str> = urls.into_iter().map(|url| place(url)).collect();
        let lookups = places.into_iter().map(|place| async move {
            let found = names.at(place).await.ok()?;
            Some((place.to_string(), found.into_iter().collect()))
        });
        Self(futures_util::future::join_all(lookups).await.into_iter().flatten().collect())
    }

    /// True if both lists name the same hosts and ports, as texts or after names are resolved.
    fn are_same(&self, ours: &[String], theirs: &[String]) -> bool {
        if same_texts(ours, theirs) {
            return true;
        }
        let resolved = |urls: &[String]| {
            let found: Option<Vec<_>> = urls.iter().map(|url| self.0.get(place(url))).collect();
            found.map(|found| found.into_iter().flatten().collect::<BTreeSet<_>>())
        };
        ours.len() == theirs.len() && resolved(ours).is_some_and(|ours| resolved(theirs) == Some(ours))
    }
}

fn same_texts(ours: &[String], theirs: &[String]) -> bool {
    let texts = |urls: &[String]| urls.iter().map(|url| place(url).to_string()).collect::<BTreeSet<_>>();
    texts(ours) == texts(theirs)
}

/// The host and port of a URL.
fn place(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, place)| place)
}

/// The member of a roll that has these peer URLs. Names are resolved only if comparing the texts is not enough.
pub async fn with_urls<'m>(names: &Names, members: &'m [Member], urls: &[String]) -> Option<&'m Member> {
    if let Some(known) = members.iter().find(|member| same_texts(&member.peer_urls, urls)) {
        return Some(known);
    }
    let all = members.iter().flat_map(|member| &member.peer_urls).chain(urls);
    let places = Places::find(names, all).await;
    members.iter().find(|member| places.are_same(&member.peer_urls, urls))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::samples::{initial, member, roll};
    use crate::model::ClusterId;
    use parking_lot::Mutex;
    use std::collections::VecDeque;

    /// Gives the prepared answers, then none.
    struct Script(Mutex<VecDeque<Result<Answer, NoAnswer>>>);

    impl Script {
        fn of(answers: impl IntoIterator<Item = Result<Answer, NoAnswer>>) -> Self {
            Self(Mutex::new(answers.into_iter().collect()))
        }
    }

    fn nobody(why: &str) -> Result<Answer, NoAnswer> {
        Err(NoAnswer::Nobody(why.into()))
    }

    impl Asker for Script {
        fn ask(&self, _: Vec<String>, _: Bytes, _: Duration) -> Pending<Result<Bytes, NoAnswer>> {
            let answer = self.0.lock().pop_front().unwrap_or(nobody("connection refused"));
            Box::pin(async move { answer.map(|answer| encode(&answer).expect("encoded")) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_are_not_up_yet_are_waited_for() {
        let roll = roll(vec![member(1, "a", "http://a:1"), member(2, "", "http://b:1")]);
        let script = Script::of([nobody("refused"), nobody("refused"), Ok(Answer::Roll(roll))]);
        let given = [initial("a", "http://a:1"), initial("b", "http://b:1")];
        let identity =
            existing(&script, &Names::new(4), ("b", None, Version::OWN), &given).await.expect("found");
        assert_eq!(identity, Identity { member: MemberId(2), cluster: ClusterId(0xc), epoch: 3 });
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_answers() {
        let given = [initial("a", "http://a:1"), initial("b", "http://b:1")];
        let error = existing(&Script::of([]), &Names::new(4), ("b", None, Version::OWN), &given)
            .await
            .expect_err("nobody")
            .to_string();
        assert_eq!(
            error,
            "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given \
             URLs (connection refused)"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_without_the_own_name_is_held_against_the_clusters() {
        let given = [initial("a", "http://a:1")];
        let members = vec![member(1, "a", "http://a:1"), member(2, "", "http://b:1")];
        let script = Script::of([nobody("refused"), Ok(Answer::Roll(roll(members)))]);
        let error = existing(&script, &Names::new(4), ("b", None, Version::OWN), &given)
            .await
            .expect_err("not named")
            .to_string();
        assert!(error.contains("member count is unequal (1 and 2)"), "{error}");
        assert!(error.contains("added and not started yet: http://b:1"), "{error}");
        let error = existing(&Script::of([]), &Names::new(4), ("b", None, Version::OWN), &given)
            .await
            .expect_err("nobody")
            .to_string();
        assert!(error.starts_with("couldn't find local name \"b\""), "{error}");
        assert!(error.ends_with("from the given URLs (connection refused)"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn joining_tries_until_it_is_let_in_or_refused() {
        let candidate = Candidate {
            name: "b".into(),
            peer_urls: vec!["http://b:1".into()],
            learner: false,
            token: None,
            version: Version::OWN,
        };
        let peers = ["https://a:1".to_string()];
        let told = Mutex::new(Vec::new());
        let tell = |what: &str| told.lock().push(what.to_string());
        let late = Answer::Later("no leader".into());
        let script = Script::of([
            nobody("refused"),
            Ok(late.clone()),
            Ok(late),
            Ok(Answer::Joined(roll(Vec::new()), MemberId(7))),
        ]);
        let (identity, _) = join(&script, &candidate, &peers, Duration::ZERO, tell).await.expect("let in");
        assert_eq!(identity.member, MemberId(7));
        assert_eq!(*told.lock(), ["https://a:1: refused", "https://a:1: no leader"]);

        let script = Script::of([Ok(Answer::Refused("too many learners".into()))]);
        let refused = join(&script, &candidate, &peers, Duration::ZERO, |_| {}).await.expect_err("refused");
        assert_eq!(refused, EntryError::Refused("too many learners".into()));
        let late = join(&Script::of([]), &candidate, &peers, Duration::from_secs(3), |_| {}).await;
        assert!(matches!(late, Err(EntryError::Late(..))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_fit_the_cluster_does_not_enter() {
        let old = Version::OWN.before().expect("there is one");
        let candidate = Candidate {
            name: "b".into(),
            peer_urls: vec!["http://b:1".into()],
            learner: false,
            token: None,
            version: old,
        };
        let peers = ["https://a:1".to_string()];
        let script = Script::of([Ok(Answer::Misfit(Version::OWN))]);
        let refused = join(&script, &candidate, &peers, Duration::ZERO, |_| {}).await.expect_err("refused");
        assert!(refused.to_string().contains("`kvctl downgrade enable"), "{refused}");

        let known = roll(vec![member(1, "a", "http://a:1"), member(2, "", "http://b:1")]);
        let script = Script::of([Ok(Answer::Roll(known))]);
        let given = [initial("a", "http://a:1"), initial("b", "http://b:1")];
        let again = existing(&script, &Names::new(4), ("b", None, old), &given).await.expect_err("refused");
        assert_eq!(again, refused);
    }

    #[tokio::test(start_paused = true)]
    async fn another_secret_ends_a_join_at_once_with_every_peers_reason() {
        let candidate = Candidate {
            name: "c".into(),
            peer_urls: vec!["http://c:1".into()],
            learner: false,
            token: None,
            version: Version::OWN,
        };
        let peers = ["https://a:1".to_string(), "https://b:1".to_string()];
        let stranger = || Err(NoAnswer::Stranger("not the same secret".into()));
        let script = Script::of([stranger(), nobody("refused")]);
        let refused = join(&script, &candidate, &peers, Duration::ZERO, |_| {}).await.expect_err("refused");
        let reasons = "https://a:1: not the same secret; https://b:1: refused";
        assert_eq!(refused, EntryError::Stranger(reasons.into()));
        // A member of the cluster that cannot answer yet is waited for, whatever the other answers are.
        let script = Script::of([
            stranger(),
            Err(NoAnswer::NotNow("starting".into())),
            stranger(),
            Ok(Answer::Joined(roll(Vec::new()), MemberId(7))),
        ]);
        let told = Mutex::new(Vec::new());
        let tell = |what: &str| told.lock().push(what.to_string());
        let (identity, _) = join(&script, &candidate, &peers, Duration::ZERO, tell).await.expect("let in");
        assert_eq!(identity.member, MemberId(7));
        assert_eq!(*told.lock(), ["https://a:1: not the same secret; https://b:1: starting"]);
        let given = [initial("a", "http://a:1"), initial("b", "http://b:1"), initial("c", "http://c:1")];
        let script = Script::of([nobody("refused"), stranger()]);
        let refused =
            existing(&script, &Names::new(4), ("c", None, Version::OWN), &given).await.expect_err("refused");
        assert_eq!(refused, EntryError::Stranger("not the same secret; refused".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_start_among_strangers_is_refused() {
        let given =
            ["a", "b", "c"].map(|name| initial(name, &format!("http://127.0.0.1:{}", name.as_bytes()[0])));
        let plan = super::super::bootstrap::plan("c", &given, "t").expect("a plan");
        let stranger = || Err(NoAnswer::Stranger("not the same secret".into()));
        let starting = || Err(NoAnswer::NotNow("starting".into()));
        let begun = Instant::now();
        let refused = refuse_second_start(&Script::of([stranger(), stranger()]), &plan).await;
        assert_eq!(refused, Err(EntryError::Stranger("not the same secret; not the same secret".into())));
        assert!(begun.elapsed() < PAUSE, "nobody is left who could be of its cluster");
        // One that is not up yet may be of its cluster: it is waited for, but not for ever.
        let script = Script::of([stranger(), nobody("refused"), stranger(), starting()]);
        assert_eq!(refuse_second_start(&script, &plan).await, Ok(()));
        let script = Script::of((0..1000).flat_map(|_| [stranger(), nobody("refused")]));
        let refused = refuse_second_start(&script, &plan).await;
        assert_eq!(refused, Err(EntryError::Stranger("not the same secret; refused".into())));
        assert!(begun.elapsed() < 2 * SEARCH);
        let script = Script::of([nobody("refused"), nobody("refused")]);
        assert_eq!(refuse_second_start(&script, &plan).await, Ok(()), "all others may start later");
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_lost_its_data_does_not_begin_anew() {
        let given = [initial("a", "http://127.0.0.1:1"), initial("b", "http://127.0.0.1:2")];
        let plan = super::super::bootstrap::plan("b", &given, "t").expect("a plan");
        let mut own = plan.members.iter().find(|m| m.id == plan.identity.member).expect("there").clone();
        own.name = "b".into();
        let known = Roll { cluster: plan.identity.cluster, epoch: 0, members: vec![own], version: None };
        let script = Script::of([Ok(Answer::Roll(known))]);
        let refused = refuse_second_start(&script, &plan).await.expect_err("refused").to_string();
        assert!(refused.contains("has already been bootstrapped"), "{refused}");
        assert!(refused.contains("kvctl member remove"), "{refused}");
        assert_eq!(refuse_second_start(&Script::of([]), &plan).await, Ok(()));
    }

    #[tokio::test]
    async fn places_are_compared_without_their_scheme_and_by_address() {
        let names = Names::asking(
            std::sync::Arc::new(|host| match host {
                "here" => Ok(vec!["127.0.0.1".parse().expect("an address")]),
                _ => loop {
                    std::thread::park();
                },
            }),
            4,
        );
        let list = |text: &str| text.split(',').map(str::to_string).collect::<Vec<_>>();
        let same = async |one: &str, other: &str| {
            let (one, other) = (list(one), list(other));
            Places::find(&names, one.iter().chain(&other)).await.are_same(&one, &other)
        };
        assert!(same("http://a:1,http://b:2", "quic://b:2,https://a:1").await);
        assert!(same("http://here:1", "http://127.0.0.1:1").await);
        assert!(!same("http://127.0.0.1:1", "http://127.0.0.1:2").await);
        assert!(!same("http://here:1", "http://127.0.0.2:1").await);
        // The resolver does not answer: two unknown names are not the same.
        assert!(!same("http://a:1", "http://b:1").await);
    }
}
