import { Button, Group, Modal, NumberInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import * as queries from "../../api/queries";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { Meter } from "../../parts/Meter";
import { Page } from "../../parts/Page";
import { ProblemBox } from "../../parts/ProblemBox";
import { useTell } from "../../parts/told";
import { useMay } from "../../session/useMay";

type ResourceGroup = Schemas["GroupView"];
type Doing = { what: "edit" | "delete"; group: ResourceGroup } | { what: "new" } | null;

const SHOWN = 12;

export function GroupsPage() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const found = useQuery(queries.groups());
  const edits = useMay().allowed("group.edit");
  const [doing, setDoing] = useState<Doing>(null);
  const done = () => {
    setDoing(null);
    void client.invalidateQueries({ queryKey: ["resource-groups"] });
  };
  return (
    <Page
      title={t("nav.groups")}
      hint={t("groups.hint")}
      actions={
        edits && (
          <Button leftSection={<Icon name="plus" />} onClick={() => setDoing({ what: "new" })}>
            {t("groups.add")}
          </Button>
        )
      }
    >
      {found.error && <ProblemBox problem={problemOf(found.error)} again={() => void found.refetch()} />}
      <div className="cards">
        {(found.data ?? []).map((group) => (
          <section key={group.name} className="card group">
            <h2>
              {group.name}
              <span className="aside faint">{t(`groups.engine.${group.engine}`, { defaultValue: group.engine })}</span>
            </h2>
            {group.description && <p className="faint">{group.description}</p>}
            <div className="group-units">
              <Meter
                percent={group.units ? (100 * group.units_used) / group.units : 0}
                label={t("groups.units")}
                tone={group.units_used >= group.units ? "meter-full" : ""}
              />
              <b>{t("groups.used", { used: group.units_used, units: group.units })}</b>
            </div>
            <h3>{t("groups.tasks", { count: group.used_by.length })}</h3>
            {group.used_by.length === 0 ? (
              <p className="faint">{t("groups.noTasks")}</p>
            ) : (
              <p className="group-tasks">
                {group.used_by.slice(0, SHOWN).join(", ")}
                {group.used_by.length > SHOWN && " …"}{" "}
                <Link to="/ops" search={{ resource_group: group.name }}>
                  {t("groups.list")}
                </Link>
              </p>
            )}
            {edits && (
              <Group gap="xs">
                <Button size="compact-sm" variant="default" onClick={() => setDoing({ what: "edit", group })}>
                  {t("act.edit")}
                </Button>
                <Button
                  size="compact-sm"
                  variant="default"
                  disabled={group.used_by.length > 0}
                  title={group.used_by.length > 0 ? t("groups.inUse") : undefined}
                  onClick={() => setDoing({ what: "delete", group })}
                >
                  {t("act.delete")}
                </Button>
              </Group>
            )}
          </section>
        ))}
      </div>
      {(doing?.what === "new" || doing?.what === "edit") && (
        <GroupDialog group={doing.what === "edit" ? doing.group : null} onClose={() => setDoing(null)} onDone={done} />
      )}
      {doing?.what === "delete" && (
        <Confirm
          title={t("groups.deleteTitle", { name: doing.group.name })}
          says={t("groups.deleteSays")}
          act={t("act.delete")}
          run={() =>
            ask(
              api.DELETE("/api/v1/resource-groups/{name}", {
                params: { path: { name: doing.group.name }, query: { version: doing.group.version } },
              }),
            )
          }
          onClose={done}
        />
      )}
    </Page>
  );
}

function GroupDialog(given: { group: ResourceGroup | null; onClose: () => void; onDone: () => void }) {
  const { t } = useTranslation();
  const tell = useTell();
  const { group } = given;
  const [name, setName] = useState(group?.name ?? "");
  const [units, setUnits] = useState<number | string>(group?.units ?? 8);
  const [description, setDescription] = useState(group?.description ?? "");
  const save = useMutation({
    mutationFn: () =>
      group
        ? ask(
            api.PUT("/api/v1/resource-groups/{name}", {
              params: { path: { name: group.name } },
              body: { units: Number(units), description, version: group.version },
            }),
          )
        : ask(
            api.POST("/api/v1/resource-groups", {
              body: { name: name.trim(), units: Number(units), description, engine: "local" },
            }),
          ),
    onSuccess: (saved) => {
      tell(t("groups.saved", { name: saved.name }));
      given.onDone();
    },
  });
  const complete = name.trim() !== "" && Number(units) >= 1;
  return (
    <Modal
      opened
      onClose={given.onClose}
      title={group ? t("groups.editTitle", { name: group.name }) : t("groups.add")}
      closeButtonProps={{ "aria-label": t("shell.close") }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (complete) save.mutate();
        }}
      >
        <Stack>
          {!group && (
            <TextInput
              label={t("form.name")}
              description={t("form.nameHint")}
              value={name}
              maxLength={100}
              required
              data-autofocus
              autoComplete="off"
              onChange={(event) => setName(event.currentTarget.value)}
            />
          )}
          <NumberInput
            label={t("groups.units")}
            description={t("groups.unitsHint")}
            value={units}
            min={1}
            clampBehavior="none"
            required
            hideControls
            onChange={setUnits}
          />
          <TextInput
            label={t("form.description")}
            value={description}
            maxLength={500}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          {save.error && <ProblemBox problem={problemOf(save.error)} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={given.onClose}>
              {t("operation.cancel")}
            </Button>
            <Button type="submit" loading={save.isPending} disabled={!complete}>
              {t("act.save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
