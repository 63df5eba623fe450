import { Button, Group, Loader, Modal, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask, problemOf, type Schemas } from "../../api/client";
import { Checks } from "../../parts/Checks";
import { ProblemBox } from "../../parts/ProblemBox";

type Report = Schemas["Report"];

/** The connectivity test of a stored data source. */
export function TestDialog({ project, name, onClose }: { project: string; name: string; onClose: () => void }) {
  const { t } = useTranslation();
  const test = useQuery({
    queryKey: ["data-source-test", project, name],
    queryFn: () =>
      ask(api.POST("/api/v1/data-sources/{name}/test", { params: { path: { name }, query: { project } } })),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    retry: false,
    refetchOnWindowFocus: false,
  });
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t("sources.testOf", { name })}
      closeButtonProps={{ "aria-label": t("shell.close") }}
    >
      <Stack>
        {test.isFetching && (
          <Group gap="sm" className="looking">
            <Loader size="sm" /> {t("sources.testing")}
          </Group>
        )}
        {test.error && <ProblemBox problem={problemOf(test.error)} />}
        {test.data && !test.isFetching && <ReportView report={test.data} />}
        <Group justify="flex-end">
          <Button variant="default" loading={test.isFetching} onClick={() => void test.refetch()}>
            {t("sources.testAgain")}
          </Button>
          <Button onClick={onClose}>{t("shell.close")}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}

/** What the test found, for each role the connector has. */
export function ReportView({ report }: { report: Report }) {
  const { t } = useTranslation();
  const roles = [...new Set(report.checks.map((check) => check.role))];
  return (
    <div className="report" role="status">
      {roles.map((role) => (
        <section key={role}>
          <h3>
            {t(`sources.as.${role}`)}{" "}
            <span className={report.usable_as.includes(role) ? "verdict-ok" : "verdict-bad"}>
              {report.usable_as.includes(role) ? t("sources.usable") : t("sources.notUsable")}
            </span>
          </h3>
          <Checks lines={report.checks.filter((check) => check.role === role)} />
        </section>
      ))}
    </div>
  );
}
