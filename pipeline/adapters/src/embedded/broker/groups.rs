//! Who is in which group, read as Tansu keeps it. Its own answer, on SQLite, takes what it stored for a string and ends the
//! connection (0.6.0).

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use libsql::{Database, params};
use rama::{Context, Service};
use tansu_broker::Error;
use tansu_sans_io::describe_groups_response::DescribedGroup;
use tansu_sans_io::{DescribeGroupsRequest, DescribeGroupsResponse};
use tansu_storage::{GroupDetail, NamedGroupDetail};

use super::log::Result;

/// Tansu names a member by its client and a UUID.
const UUID_AND_DASH: usize = 37;

/// The members of all groups. Cheap to clone.
#[derive(Clone)]
pub(super) struct Members(Arc<Database>);

impl Members {
    /// `file` is Tansu's.
    pub(super) async fn open(file: &Path) -> Result<Self> {
        let database = libsql::Builder::new_local(file).build().await?;
        Ok(Self(Arc::new(database)))
    }

    /// Members of the run before are gone with it. Tansu would wait for each until its session ends.
    pub(super) async fn disband(&self) -> Result<()> {
        let connection = self.0.connect()?;
        connection
            .execute("delete from consumer_group_detail", ())
            .await?;
        Ok(())
    }

    /// None: nobody is in the group, or ever was since the start.
    async fn of(&self, group: &str) -> Result<Option<GroupDetail>> {
        let connection = self.0.connect()?;
        let mut rows = connection
            .query(
                "select detail.detail from consumer_group_detail detail
                 join consumer_group on consumer_group.id = detail.consumer_group
                 where consumer_group.name = ?1",
                params![group],
            )
            .await?;
        let Some(row) = rows.next().await? else {
            return Ok(None);
        };
        let detail = serde_json::from_str(&row.get::<String>(0)?)?;
        Ok(Some(detail))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct DescribeGroups;

impl Service<Members, DescribeGroupsRequest> for DescribeGroups {
    type Response = DescribeGroupsResponse;
    type Error = Error;

    async fn serve(
        &self,
        context: Context<Members>,
        request: DescribeGroupsRequest,
    ) -> Result<DescribeGroupsResponse> {
        let mut groups = Vec::new();
        for name in request.groups.unwrap_or_default() {
            let detail = context.state().of(&name).await?.unwrap_or_default();
            groups.push(described(name, detail));
        }
        Ok(DescribeGroupsResponse::default()
            .throttle_time_ms(Some(0))
            .groups(Some(groups)))
    }
}

/// As Tansu describes it, and its members with a client and where that is.
fn described(name: String, detail: GroupDetail) -> DescribedGroup {
    let group = DescribedGroup::from(&NamedGroupDetail::found(name, detail));
    let members = group.members.clone().map(|members| {
        members
            .into_iter()
            .map(|member| {
                let id = member.member_id.clone();
                let client = id
                    .len()
                    .checked_sub(UUID_AND_DASH)
                    .and_then(|end| id.get(..end));
                member
                    .client_id(client.unwrap_or(&id).to_owned())
                    .client_host(Ipv4Addr::LOCALHOST.to_string())
            })
            .collect()
    });
    group.members(members)
}
