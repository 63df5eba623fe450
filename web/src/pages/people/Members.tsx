import { Button, Checkbox, Group, Modal, Radio, Select, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { useTell } from "../../parts/told";
import { useMay } from "../../session/useMay";
import { usePermissionWords } from "./words";

type Member = Schemas["MemberView"];
type Wish = Schemas["Membership"];
type Doing = { what: "edit" | "remove"; member: Member } | { what: "new" } | null;
const CUSTOM = "custom";

/** Who may do what in a project. */
export function Members({ project }: { project: string }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const may = useMay();
  const found = useQuery({ ...queries.members(project), enabled: may.projects.length > 0 });
  const [doing, setDoing] = useState<Doing>(null);
  const edits = may.allowed("member.edit", project);
  const done = () => {
    setDoing(null);
    void client.invalidateQueries({ queryKey: ["members"] });
    void client.invalidateQueries({ queryKey: ["accounts"] });
    void client.invalidateQueries({ queryKey: ["session"] });
  };
  const none = found.data?.length === 0 || may.projects.length === 0;
  return (
    <section className="card card-flush">
      <div className="card-tools">
        <p className="faint">{t("members.says", { project })}</p>
        <span className="grow" />
        {edits && (
          <Button size="sm" leftSection={<Icon name="plus" />} onClick={() => setDoing({ what: "new" })}>
            {t("members.add")}
          </Button>
        )}
      </div>
      {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
      {none && (
        <div className="empty">
          <h2>{may.projects.length === 0 ? t("ops.noProject") : t("members.none")}</h2>
          <p>{may.projects.length === 0 ? t("ops.noProjectHint") : t("members.noneHint")}</p>
        </div>
      )}
      {found.data && found.data.length > 0 && (
        <div className="scroll-x">
          <table className="list">
            <thead>
              <tr>
                <th>{t("memberColumn.account")}</th>
                <th>{t("memberColumn.role")}</th>
                <th className="wide">{t("memberColumn.permissions")}</th>
                <th className="wide">{t("memberColumn.since")}</th>
                <th className="acts">
                  <span className="visually-hidden">{t("ops.operations")}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {found.data.map((member) => (
                <MemberRow key={member.account} member={member} act={edits ? setDoing : null} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {(doing?.what === "new" || doing?.what === "edit") && (
        <MemberDialog
          project={project}
          member={doing.what === "edit" ? doing.member : null}
          onClose={() => setDoing(null)}
          onDone={done}
        />
      )}
      {doing?.what === "remove" && (
        <Confirm
          title={t("members.removeTitle", { name: doing.member.account, project })}
          says={t("members.removeSays")}
          act={t("members.remove")}
          run={() =>
            ask(
              api.DELETE("/api/v1/projects/{name}/members/{account}", {
                params: { path: { name: project, account: doing.member.account } },
              }),
            )
          }
          onClose={done}
        />
      )}
    </section>
  );
}

function MemberRow({ member, act }: { member: Member; act: ((doing: Doing) => void) | null }) {
  const { t } = useTranslation();
  const { near, moment } = useFormat();
  const words = usePermissionWords();
  return (
    <tr data-off={member.enabled ? undefined : true}>
      <td className="name">
        <span className="account">
          <Icon name={member.kind === "person" ? "person" : "program"} />
          <b>{member.account}</b>
          {member.administrator && <span className="tag tag-strong">{t("accounts.administrator")}</span>}
          {!member.enabled && <span className="tag tag-off">{t("accounts.disabled")}</span>}
        </span>
      </td>
      <td>{words.role(member.role)}</td>
      <td className="wide">
        <span className="tags">
          {member.permissions.map((one) => (
            <code key={one} className="tag">
              {one}
            </code>
          ))}
        </span>
      </td>
      <td className="wide" title={moment(member.since)}>
        {near(member.since)}
      </td>
      <td className="acts">
        {act && (
          <>
            <Button size="compact-sm" variant="default" onClick={() => act({ what: "edit", member })}>
              {t("members.change")}
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => act({ what: "remove", member })}>
              {t("members.remove")}
            </Button>
          </>
        )}
      </td>
    </tr>
  );
}

interface Given {
  project: string;
  /** None: somebody is let in. */
  member: Member | null;
  onClose: () => void;
  onDone: () => void;
}

function MemberDialog({ project, member, onClose, onDone }: Given) {
  const { t } = useTranslation();
  const tell = useTell();
  const may = useMay();
  const words = usePermissionWords();
  const table = useQuery(queries.permissionTable());
  const [account, setAccount] = useState(member?.account ?? "");
  const [role, setRole] = useState(member?.role ?? "");
  const [chosen, setChosen] = useState<string[]>(member?.role === CUSTOM ? member.permissions : []);
  const roles = Object.entries(table.data?.roles ?? {});
  const permissions = (table.data?.permissions ?? []).filter((one) => one.scope === "project");
  const always = new Set(table.data?.roles[CUSTOM]);
  // Nobody gives more than they have: the server refuses it, and it is not offered.
  const beyond = (held: string[]) => held.some((one) => !may.allowed(one, project));
  const held = new Set(role === CUSTOM ? [...chosen, ...always] : table.data?.roles[role]);
  const save = useMutation({
    mutationFn: () =>
      ask(
        api.PUT("/api/v1/projects/{name}/members/{account}", {
          params: { path: { name: project, account: account.trim() } },
          body: {
            role: role as Wish["role"],
            permissions: role === CUSTOM ? (chosen as NonNullable<Wish["permissions"]>) : undefined,
          },
        }),
      ),
    onSuccess: (saved) => {
      tell(t("members.saved", { name: saved.account, role: words.role(saved.role), project }));
      onDone();
    },
  });
  const complete = account.trim() !== "" && role !== "";
  return (
    <Modal
      opened
      onClose={onClose}
      size="xl"
      title={member ? t("members.editTitle", { name: member.account, project }) : t("members.addTitle", { project })}
      closeButtonProps={{ "aria-label": t("shell.close") }}
      closeOnClickOutside={false}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (complete) save.mutate();
        }}
      >
        <Stack>
          {!member && <AccountPicker project={project} value={account} change={setAccount} />}
          {table.error && <ProblemBox problem={problemOf(table.error)} />}
          <div className="role-pick">
            <Radio.Group
              label={t("memberColumn.role")}
              value={role}
              onChange={(to) => {
                // Their own begins with what was chosen before it.
                if (to === CUSTOM && chosen.length === 0) setChosen(table.data?.roles[role] ?? []);
                setRole(to);
              }}
            >
              <Stack gap="xs" mt={6}>
                {roles.map(([name, all]) => (
                  <Radio
                    key={name}
                    value={name}
                    label={words.role(name)}
                    description={beyond(all) ? t("members.beyond") : words.roleHint(name)}
                    disabled={beyond(all)}
                  />
                ))}
              </Stack>
            </Radio.Group>
            <fieldset className="grants">
              <legend>{t("members.mayDo")}</legend>
              {permissions.map((one) => (
                <Checkbox
                  key={one.name}
                  size="xs"
                  label={words.permission(one)}
                  checked={held.has(one.name)}
                  disabled={role !== CUSTOM || always.has(one.name) || beyond([one.name])}
                  onChange={(event) =>
                    setChosen(
                      event.currentTarget.checked ? [...chosen, one.name] : chosen.filter((name) => name !== one.name),
                    )
                  }
                />
              ))}
            </fieldset>
          </div>
          {save.error && <ProblemBox problem={problemOf(save.error)} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("operation.cancel")}
            </Button>
            <Button type="submit" loading={save.isPending} disabled={!complete}>
              {member ? t("act.save") : t("members.letIn")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** From the list for those who may see it; others know whom they mean. */
function AccountPicker(given: { project: string; value: string; change: (name: string) => void }) {
  const { t } = useTranslation();
  const listed = useMay().allowed("user.edit");
  const accounts = useQuery({ ...queries.accounts(), enabled: listed });
  const members = useQuery(queries.members(given.project));
  const there = new Set(members.data?.map((one) => one.account));
  if (!listed) {
    return (
      <TextInput
        label={t("memberColumn.account")}
        description={t("members.accountHint")}
        inputWrapperOrder={["label", "input", "description", "error"]}
        value={given.value}
        maxLength={100}
        required
        data-autofocus
        autoComplete="off"
        autoCapitalize="none"
        onChange={(event) => given.change(event.currentTarget.value)}
      />
    );
  }
  return (
    <Select
      label={t("memberColumn.account")}
      placeholder={t("members.pickAccount")}
      data={(accounts.data ?? []).map((one) => one.name).filter((name) => !there.has(name))}
      value={given.value || null}
      nothingFoundMessage={t("members.noAccount")}
      searchable
      required
      onChange={(name) => given.change(name ?? "")}
    />
  );
}
