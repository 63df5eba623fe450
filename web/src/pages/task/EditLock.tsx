// Who alone may change a task's definition, where somebody holds it.

import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf } from "../../api/client";
import * as queries from "../../api/queries";
import { useFormat } from "../../manner";
import { Confirm } from "../../parts/Confirm";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { useMay } from "../../session/useMay";

/** Beside the task's name, while somebody holds it. */
export function EditLockSign({ which }: { which: queries.Which }) {
  const { t } = useTranslation();
  const { moment } = useFormat();
  const lock = useQuery(queries.editLock(which)).data;
  if (!lock?.holder) return null;
  return (
    <span className={`tag ${lock.yours ? "" : "tag-warn"}`} title={t("lock.since", { at: moment(lock.since) })}>
      <Icon name="lock" size={13} /> {lock.yours ? t("lock.signYours") : t("lock.sign", { holder: lock.holder })}
    </span>
  );
}

/** The same where the definition is, with what can be done about it. */
export function EditLock({ which }: { which: queries.Which }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const { moment } = useFormat();
  const found = useQuery(queries.editLock(which));
  const may = useMay();
  const [seizing, setSeizing] = useState(false);
  const params = { path: { task: which.task }, query: { project: which.project } };
  const changed = () => void client.invalidateQueries({ queryKey: ["task", which.project, which.task, "lock"] });
  const hold = () => ask(api.PUT("/api/v1/tasks/{task}/lock", { params, body: { seize: false } }));
  const seize = () => ask(api.PUT("/api/v1/tasks/{task}/lock", { params, body: { seize: true } }));
  const release = () => ask(api.DELETE("/api/v1/tasks/{task}/lock", { params }));
  const turn = useMutation({ mutationFn: (how: () => Promise<unknown>) => how(), onSettled: changed });
  const lock = found.data;
  const error = found.error ?? turn.error;
  if (!lock) return error ? <ProblemBox problem={problemOf(error)} /> : null;
  const others = lock.holder !== null && !lock.yours;
  const button = (label: string, act: () => void) => (
    <Button size="compact-sm" variant="default" loading={turn.isPending} onClick={act}>
      {label}
    </Button>
  );
  return (
    <>
      <section className={`lock ${others ? "lock-others" : ""}`} aria-label={t("lock.title")}>
        <Icon name="lock" />
        <span className="lock-said" role="status">
          {lock.holder === null && t("lock.free")}
          {lock.yours && t("lock.yours", { at: moment(lock.since) })}
          {others && t("lock.others", { holder: lock.holder, at: moment(lock.since) })}
        </span>
        {may.allowed("task.edit", which.project) && (
          <>
            {lock.holder === null && button(t("lock.hold"), () => turn.mutate(hold))}
            {lock.yours && button(t("lock.release"), () => turn.mutate(release))}
            {others && button(t("lock.seize"), () => setSeizing(true))}
          </>
        )}
      </section>
      {error && <ProblemBox problem={problemOf(error)} />}
      {seizing && (
        <Confirm
          title={t("lock.seizeTitle", { task: which.task })}
          says={t("lock.seizeSays", { holder: lock.holder })}
          act={t("lock.seize")}
          run={seize}
          onClose={() => {
            setSeizing(false);
            changed();
          }}
        />
      )}
    </>
  );
}
