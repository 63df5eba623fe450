import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { problemOf } from "../../api/client";
import * as queries from "../../api/queries";
import { AlertTable, type Rule, RuleTable } from "../../parts/Alerts";
import { Icon } from "../../parts/Icon";
import { ProblemBox } from "../../parts/ProblemBox";
import { useMay } from "../../session/useMay";
import { RuleDialog } from "../alerts/RuleDialog";
import type { TabProps } from "./TaskPage";

/** The rules that are for this task, and what they fired. */
export function Alerts({ which }: TabProps) {
  const { t } = useTranslation();
  const rules = useQuery(queries.rules(which));
  const fired = useQuery(queries.alerts(which));
  const edits = useMay().allowed("alert.edit", which.project);
  const [doing, setDoing] = useState<Rule | "new" | null>(null);
  const error = rules.error ?? fired.error;
  return (
    <>
      {error && <ProblemBox problem={problemOf(error)} />}
      <section className="card card-flush">
        <h2 className="pad">{t("alerts.history")}</h2>
        {fired.data?.length === 0 && <p className="faint pad">{t("alerts.noneFired")}</p>}
        {fired.data && fired.data.length > 0 && <AlertTable alerts={fired.data} />}
      </section>
      <section className="card card-flush">
        <h2 className="pad">
          {t("alerts.rules")}
          {edits && (
            <Button
              className="aside"
              size="compact-sm"
              variant="default"
              leftSection={<Icon name="plus" size={14} />}
              onClick={() => setDoing("new")}
            >
              {t("alerts.addForTask")}
            </Button>
          )}
        </h2>
        <p className="faint pad">{t("alerts.rulesHint")}</p>
        {rules.data && rules.data.length > 0 && <RuleTable rules={rules.data} edit={setDoing} />}
      </section>
      {doing && (
        <RuleDialog
          project={which.project}
          rule={doing === "new" ? null : doing}
          task={which.task}
          onClose={() => setDoing(null)}
        />
      )}
    </>
  );
}
