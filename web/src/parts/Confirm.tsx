import { Button, Group, Modal, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { problemOf } from "../api/client";
import { ProblemBox } from "./ProblemBox";

interface Given {
  title: string;
  says: string;
  act: string;
  /** What is done; it may be refused. */
  run: () => Promise<unknown>;
  onClose: () => void;
}

/** Asks before something is deleted. */
export function Confirm({ title, says, act, run, onClose }: Given) {
  const { t } = useTranslation();
  const go = useMutation({ mutationFn: run, onSuccess: onClose });
  return (
    <Modal opened onClose={onClose} title={title} closeButtonProps={{ "aria-label": t("shell.close") }}>
      <Stack>
        <p className="note">{says}</p>
        {go.error && <ProblemBox problem={problemOf(go.error)} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t("operation.cancel")}
          </Button>
          <Button color="rose" loading={go.isPending} onClick={() => go.mutate()}>
            {act}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
